import type { Version, Write, WriteKind } from '../../../lib/rehearsal/workload/ledger';
import { follow, judge, type RowState } from '../../../lib/rehearsal/workload/verdict';

const write = (kind: WriteKind, before: Version, after: Version): Write => [0, ['k'], kind, before, after];

/** Follows writes, each acknowledged (`+`) or unknown (`?`), and tells what is wrong with what is found at the end. */
function verdict(writes: [outcome: '+' | '?', write: Write][], found: Version, byVersion = true): string | undefined {
  let state: RowState | undefined;
  for (const [outcome, each] of writes) state = follow(state, each, outcome === '+', byVersion);
  return (state!.finding ?? judge(state!, found, byVersion))?.kind;
}

describe('the verdict on a row', () => {
  it('wants the last acknowledged version and no other', () => {
    const writes: ['+', Write][] = [
      ['+', write('update', 'v0', 'v1')],
      ['+', write('update', 'v1', 'v2')],
    ];
    expect(verdict(writes, 'v2')).toBeUndefined();
    expect(verdict(writes, 'v1')).toBe('lostUpdate');
    expect(verdict(writes, null)).toBe('lostRow');
  });

  it('accepts both outcomes of a commit that was never answered', () => {
    const insert: ['?', Write] = ['?', write('insert', null, 'v1')];
    expect(verdict([insert], null)).toBeUndefined();
    expect(verdict([insert], 'v1')).toBeUndefined();
    expect(verdict([insert], 'v2')).toBe('lostUpdate');
    const remove: ['?', Write] = ['?', write('delete', 'v0', null)];
    expect(verdict([remove], null)).toBeUndefined();
    expect(verdict([remove], 'v0')).toBeUndefined();
  });

  it('accepts every state of a chain of unknown outcomes, until one is acknowledged', () => {
    const chain: ['?', Write][] = [
      ['?', write('update', 'v0', 'v1')],
      ['?', write('update', 'v0', 'v2')],
      ['?', write('update', 'v2', 'v3')],
    ];
    for (const version of ['v0', 'v1', 'v2', 'v3']) expect(verdict(chain, version)).toBeUndefined();
    const ended: ['+' | '?', Write][] = [...chain, ['+', write('update', 'v3', 'v4')]];
    expect(verdict(ended, 'v4')).toBeUndefined();
    expect(verdict(ended, 'v3')).toBe('lostUpdate');
  });

  it('sees a loss that a later write has covered', () => {
    const covered: ['+', Write][] = [
      ['+', write('update', 'v0', 'v1')],
      ['+', write('update', 'v0', 'v2')],
    ];
    expect(verdict(covered, 'v2')).toBe('lostUpdate');
  });

  it('tells a ghost from a revival', () => {
    expect(verdict([['+', write('observed', null, null)]], 'v1')).toBe('ghostRow');
    expect(verdict([['+', write('delete', 'v0', null)]], 'v0')).toBe('revivedDelete');
    expect(
      verdict(
        [
          ['+', write('insert', null, 'v1')],
          ['+', write('delete', 'v1', null)],
        ],
        'v1',
      ),
    ).toBe('revivedDelete');
  });

  it('learns nothing certain from a write that was rolled back', () => {
    const unknown: ['?', Write] = ['?', write('update', 'v0', 'v1')];
    expect(verdict([unknown, ['+', write('observed', 'v1', 'v1')]], 'v0')).toBeUndefined();
    expect(verdict([['+', write('observed', 'v0', 'v0')]], 'v1')).toBe('lostUpdate');
  });

  it('judges only presence where others write the row', () => {
    const update: ['+', Write] = ['+', write('update', 'v0', 'v1')];
    expect(verdict([update], 'v9', false)).toBeUndefined();
    expect(verdict([update], null, false)).toBe('lostRow');
    expect(verdict([['+', write('delete', 'v1', null)]], 'v9', false)).toBe('revivedDelete');
  });
});
