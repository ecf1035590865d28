import { BackOff } from './back-off';

/** What is known of the tries to copy truncated relations anew. */
export class RecopyTries {
  private backOff = new BackOff();
  /** Whether the last one failed, and what it should have copied is not there yet. */
  failing = false;

  /** Whether one may be made now. */
  get ready(): boolean {
    return this.backOff.ready;
  }

  /** @param tookMs how long the try took; milliseconds */
  failed(tookMs: number): void {
    this.backOff.tried(tookMs);
    this.failing = true;
  }

  /** To be called when nothing is left to be copied. */
  done(): void {
    if (!this.failing) return;
    this.backOff = new BackOff();
    this.failing = false;
  }
}
