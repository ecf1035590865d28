import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { readStanding, type Standing } from '../fence/standing';
import type { PhaseOutcome } from '../phase';
import { openAws } from '../ready/aws-account';
import { inTime } from '../switch/in-time';
import type { Check, Finding, LookAt, Verdict } from './finding';
import { lookOnce, makeChecks, whatIsBad, type Look } from './look';
import { OPENED_FACT, readRecord, STOP_FACT, summaryOf, WATCH_FACT, withLook, type WatchRecord } from './record';
import { followed, rollBack, rollbackRuns } from './roll-back';
import { Sessions } from './sessions';
import { closedBecause } from './way-back-check';

/** Longest time for asking both ends which of them takes the writes; milliseconds. */
const STANDING_MS = 20_000;

/** The watch of one cutover, from where it is to its end. */
export class Watch {
  private streak = 0;
  private before: ReadonlyMap<string, Verdict> = new Map();
  private readonly checks: readonly Check[] = makeChecks();
  private readonly at: LookAt;

  private constructor(
    private readonly context: Context,
    private record: WatchRecord,
  ) {
    const { config } = context;
    this.at = { context, config, sessions: new Sessions(context), aws: openAws(config) };
  }

  static async open(context: Context): Promise<Watch> {
    return new Watch(context, await readRecord(context.state));
  }

  /** Throws Failure when the target does not take the writes (any more). */
  async toEnd(): Promise<PhaseOutcome> {
    const { seconds, everySeconds } = this.context.config.watch;
    await this.begin();
    for (let last = performance.now(); ;) {
      const began = performance.now();
      await this.requireTarget();
      if (await this.isStopped()) return this.end('ended by hand');
      const look = await lookOnce(this.checks, this.at);
      await this.keep(look, (began - last) / 1000);
      last = began;
      await this.judge(look);
      if (this.record.watchedSeconds >= seconds) return this.end('ended');
      await sleep(Math.max(0, everySeconds * 1000 - (performance.now() - began)));
    }
  }

  /** Says what became of a decision after which this program was killed. */
  private async begin(): Promise<void> {
    if (this.record.decisions.at(-1)?.outcome !== undefined || this.record.decisions.length === 0) return;
    const standing = await this.standing();
    const passing = standing.kind === 'passing' && standing.direction === 'back';
    if (standing.kind === 'serves' && standing.end === 'source')
      await this.decided('succeeded: the source takes writes');
    else if (passing || rollbackRuns(this.context.config)) await this.goBack();
    else await this.decided('abandoned: this program was killed before writes were stopped; looks are counted anew');
  }

  private async standing(): Promise<Standing> {
    const { sessions } = this.at;
    try {
      return await inTime('asking both ends', STANDING_MS, async () =>
        readStanding({ source: await sessions.on('source'), target: await sessions.on('target') }),
      );
    } catch (error) {
      sessions.renew();
      return { kind: 'unknown', why: oneLine(error) };
    }
  }

  /** An end that cannot be asked ends no watch: that is the very thing to look at. */
  private async requireTarget(): Promise<void> {
    const standing = await this.standing();
    if (standing.kind === 'passing' && standing.direction === 'forward')
      throw new Failure('the cutover has not opened the target yet; start cutover, it goes forward');
    if (standing.kind !== 'serves' || standing.end === 'target') return;
    const decision = this.record.decisions.at(-1);
    const isKnown = decision?.outcome?.startsWith('succeeded') === true;
    const isOurs = isKnown || (decision !== undefined && followed(this.context.config, decision.at));
    if (isOurs && !isKnown) await this.decided('succeeded: the source takes writes');
    if (isOurs) throw new Failure(`rolled back by itself because of ${decision?.why}; the source takes the writes`);
    throw new Failure(
      this.record.looks > 0
        ? 'the source takes the writes again: somebody has moved them back, and the watch is over'
        : 'the source takes the writes: there is nothing to watch; start cutover',
    );
  }

  private async isStopped(): Promise<boolean> {
    const { state } = this.context;
    if (((await state.fact<string>(OPENED_FACT)) ?? 'unknown') !== this.record.cutover) {
      // Another cutover since, which has a watch of its own.
      this.record = await readRecord(state);
      this.streak = 0;
    }
    return (await state.fact<string | null>(STOP_FACT)) === this.record.cutover;
  }

  /** Remembers a look; what a check says goes into the evidence whenever its verdict changes. */
  private async keep(look: Look, seconds: number): Promise<void> {
    const { context } = this;
    this.record = withLook(this.record, look, seconds, new Date().toISOString());
    await context.state.setFact(WATCH_FACT, this.record);
    for (const [name, finding] of look) {
      if (finding.verdict === (this.before.get(name) ?? 'ok')) continue;
      const { query } = this.checks.find((check) => check.name === name)!;
      await context.evidence(`watch: ${name}`, finding.verdict !== 'bad', query, evidenceOf(finding));
    }
    this.before = new Map([...look].map(([name, { verdict }]) => [name, verdict]));
    const { seconds: all } = context.config.watch;
    const note = whatIsBad(look) ?? [...look].find(([, { verdict }]) => verdict === 'warn')?.join(': ') ?? 'all well';
    context.progress.report(Math.min(all, Math.round(this.record.watchedSeconds)), all, 'seconds', note);
  }

  private async judge(look: Look): Promise<void> {
    const why = whatIsBad(look);
    this.streak = why === undefined ? 0 : this.streak + 1;
    const { badLooks, onBad } = this.context.config.watch;
    // While writes are being moved back there is nothing to decide, and what is refused is refused on purpose.
    if (why === undefined || this.streak < badLooks || rollbackRuns(this.context.config)) return;
    const said = this.streak > badLooks;
    if (onBad === 'report') {
      if (!said)
        await this.tooMany(why, 'nothing is done, since agent.watch.onBad is "report": start rollback, or mend it');
      return;
    }
    const closed = await closedBecause(this.at);
    if (closed !== undefined) {
      if (!said) await this.tooMany(why, `nothing is rolled back, since the way back is closed: ${closed}`);
      return;
    }
    await this.tooMany(why, 'the rollback is started');
    const decision = { at: new Date().toISOString(), why };
    await this.remember({ ...this.record, decisions: [...this.record.decisions, decision] });
    await this.goBack();
  }

  private tooMany(why: string, then: string): Promise<void> {
    const figure = `${this.streak} bad looks in a row`;
    return this.context.evidence('watch: bad looks in a row', false, 'every check of the watch', {
      verdict: 'bad',
      figure: `${figure}: ${why}`,
      todo: then,
      result: { streak: this.streak },
    });
  }

  /** Throws Failure once the source takes the writes; returns when the rollback did not succeed and the target serves on. */
  private async goBack(): Promise<void> {
    const line = await rollBack(this.context.config);
    await this.decided(line);
    this.streak = 0;
    if (line.startsWith('succeeded'))
      throw new Failure(`rolled back by itself because of ${this.record.decisions.at(-1)?.why}; ${line}`);
    this.context.log.error({ line }, 'the rollback did not succeed; the watch goes on');
  }

  private async decided(outcome: string): Promise<void> {
    const decisions = this.record.decisions.map((one, index, all) =>
      index === all.length - 1 ? { ...one, outcome } : one,
    );
    await this.remember({ ...this.record, decisions });
    await this.context.evidence('watch: rollback by itself', outcome.startsWith('succeeded'), 'job rollback', {
      ...decisions.at(-1),
    });
  }

  private async remember(record: WatchRecord): Promise<void> {
    this.record = record;
    await this.context.state.setFact(WATCH_FACT, record);
  }

  private async end(how: string): Promise<PhaseOutcome> {
    await this.remember({ ...this.record, ended: how });
    const well = whatIsWell(this.record);
    const summary = summaryOf(this.record);
    await this.context.evidence('watch after the cutover', well, 'every check of the watch', this.record);
    return { message: `${how}${well ? '' : ', not well at its end'}: ${summary}`, result: { ...this.record } };
  }
}

const whatIsWell = ({ checks }: WatchRecord): boolean =>
  Object.values(checks).every(({ last }) => last.verdict !== 'bad');

const evidenceOf = ({ verdict, figure, cause }: Finding): object => ({
  verdict,
  figure,
  ...(cause !== undefined && { todo: cause }),
});
