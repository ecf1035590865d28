/** Longest text that a report holds; characters. */
const LONGEST = 300;

/** Comments, literals and quoted names, whichever begins first. */
const PARTS = /--[^\n]*|\/\*[\s\S]*?\*\/|\$(\w*)\$[\s\S]*?\$\1\$|'(?:[^'\\]|''|\\.)*'|"(?:[^"]|"")*"/g;

/**
 * A statement as a log or a report may hold it: no comment, since applications put traces and users there, no text of a
 * literal, on one line.
 */
export function publicText(statement: string): string {
  const text = statement
    .replace(PARTS, (part) => (part.startsWith('"') ? part : /^['$]/.test(part) ? `'…'` : ' '))
    .replace(/\s+/g, ' ')
    .trim();
  return text.length > LONGEST ? `${text.slice(0, LONGEST)} …` : text;
}
