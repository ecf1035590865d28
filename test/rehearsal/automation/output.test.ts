import { commandOutput } from '../../../lib/rehearsal/automation/output';
import { runSteps, script, step } from './account';

const TITLE = '\n----------ERROR-------\n';

describe('the output of a command', () => {
  test('is standard output, and behind a title standard error', () => {
    expect(commandOutput('out', '')).toBe('out');
    expect(commandOutput('out', 'err')).toBe(`out${TITLE}err`);
  });

  test('of more than 2,500 characters is cut with a note', () => {
    const output = commandOutput('o'.repeat(3000), '');
    expect(output).toHaveLength(2500);
    expect(output).toMatch(/^o+\n---Output truncated---$/);
  });

  test('loses the end of a long standard error, when standard output is short', () => {
    const output = commandOutput('out', 'e'.repeat(3000));
    expect(output).toHaveLength(2500);
    expect(output).toMatch(/^out\n----------ERROR-------\ne+\n---Error truncated----$/);
  });

  test('loses the end of a long standard output, when standard error is short', () => {
    const output = commandOutput('o'.repeat(3000), 'err');
    expect(output).toHaveLength(2500);
    expect(output).toMatch(/^o+\n---Output truncated---\n----------ERROR-------\nerr$/);
  });

  test('loses the ends of both when both are long', () => {
    const output = commandOutput('o'.repeat(3000), 'e'.repeat(3000));
    expect(output.length).toBeLessThanOrEqual(2500);
    expect(output).toMatch(/^o+\n---Output truncated---\n----------ERROR-------\ne+\n---Error truncated----$/);
  });

  test('reaches later steps cut like this', async () => {
    const result = await runSteps(script('a', 'head -c 5000 /dev/zero | tr "\\\\0" x'));
    expect(step(result, 'a').outputs['Output']).toMatch(/^x{2477}\n---Output truncated---$/);
  });
});
