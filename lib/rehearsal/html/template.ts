import { escape } from 'html-escaper';

/** Text that is HTML already. */
export class Html {
  constructor(readonly text: string) {}
}

/** What a template may hold: HTML as it is, everything else escaped, lists one after the other. */
export type Part = Html | string | number | undefined | readonly Part[];

/** HTML with its values put in; none of them can become markup unless it was made by this. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.map((text, index) => text + render(parts[index])).join(''));
}

function render(part: Part): string {
  if (part === undefined) return '';
  if (part instanceof Html) return part.text;
  return typeof part === 'object' ? part.map(render).join('') : escape(String(part));
}
