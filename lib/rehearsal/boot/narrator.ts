import { Failure } from '../../../assets/agent/errors';

/** Tells what happens as it happens: steps with the time since the start, and what was found true. */
export class Narrator {
  private readonly started = Date.now();
  private found = 0;

  constructor(private readonly write: (line: string) => void) {}

  get seconds(): number {
    return (Date.now() - this.started) / 1000;
  }

  /** How many checks have passed. */
  get checks(): number {
    return this.found;
  }

  /** A line for one machine. */
  say(machine: string, line: string): void {
    this.write(`${this.seconds.toFixed(1).padStart(6)} s  ${machine.padEnd(7)}  ${line}`);
  }

  /** Throws Failure with what was found instead, when the claim does not hold. */
  check(machine: string, claim: string, holds: boolean, found: unknown = undefined): void {
    if (!holds) {
      const instead = found === undefined ? '' : `: ${typeof found === 'string' ? found : JSON.stringify(found)}`;
      throw new Failure(`${machine}: not shown that ${claim}${instead}`);
    }
    this.found += 1;
    this.say(machine, `shown: ${claim}`);
  }
}
