import { BackOff } from './back-off';

/** What is known of the tries to start Bucardo, or one sync of it. */
export class StartTries {
  readonly whole = new BackOff();
  /** When each sync was started alone that has not come back since; milliseconds of the process's clock. */
  readonly alone = new Map<string, number>();
  /** Whether the last start of all failed, and nothing runs since. */
  failing = false;
  /** Tries to have catch-up apply what Bucardo fails at. */
  readonly refusals = new BackOff();
  /** Whether Bucardo failed at something again and again, and has not applied it since. */
  refused = false;
}
