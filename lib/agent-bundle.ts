import { chmodSync } from 'node:fs';
import { bundle } from './bundle';

/** Bundles the host program, command `ibex`, into one executable file. */
export function bundleAgent(outFile: string): void {
  bundle({ entry: 'assets/agent/main.ts', outFile, target: 'node20', banner: '#!/usr/bin/env node' });
  chmodSync(outFile, 0o755);
}
