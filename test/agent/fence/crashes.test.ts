import { makeFenceFinal, openSource } from '../../../assets/agent/fence/source';
import { readFenceState } from '../../../assets/agent/fence/objects';
import { aroundSource, refusal, REFUSED, WRITES } from './around-source';

const here = aroundSource();

describe('over a crash of its server the fence', () => {
  it('holds with its deadline', async () => {
    const { deadline } = await here.fence(60);
    await here.migration.source.kill();
    await here.migration.source.start();
    here.source = await here.migration.admin('source');
    expect(await refusal(here.source, 'UPDATE item SET n = 1')).toBe(REFUSED);
    expect(await readFenceState(here.source)).toEqual({ kind: 'until', deadline });
    expect(await openSource(await here.session())).toBe('open');
    expect(await refusal(here.source, 'UPDATE item SET n = 1')).toBeUndefined();
  });

  it('holds for good once it is final', async () => {
    const { deadline } = await here.fence();
    await makeFenceFinal(await here.session(), deadline);
    await here.migration.source.kill();
    await here.migration.source.start();
    here.source = await here.migration.admin('source');
    expect(await readFenceState(here.source)).toEqual({ kind: 'final' });
    for (const [, statement] of WRITES) expect(await refusal(here.source, statement)).toBe(REFUSED);
    expect(await openSource(await here.session())).toBe('final');
  });
});
