import { removeTemplates } from './data-directory';

/** Removes what all test files of a run share. */
export default function globalTeardown(): void {
  removeTemplates();
}
