// Makes a fresh clone ready: the right Node, and node_modules as package-lock.json says. With arguments it then runs a
// TypeScript program of this repository, in this process: nothing stands between the program and Ctrl-C.
// Plain JavaScript, since it runs before anything is installed.
import { execFileSync } from 'node:child_process';
import { existsSync, statSync, utimesSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`ibex: Node ${process.versions.node} is too old; install Node 20.19 or newer.`);
  process.exit(2);
}

const lock = join(root, 'package-lock.json');
const installed = join(root, 'node_modules', '.package-lock.json');
if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  console.error('ibex: installing the npm packages that package-lock.json names');
  try {
    // Not `npm ci`: it refuses a lock file without the binaries of platforms that a mirror does not carry. With --no-save
    // the lock file decides in the same way, and stays as it is. npm's words go to standard error, since standard output
    // is the program's.
    execFileSync('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: root,
      stdio: ['ignore', process.stderr, process.stderr],
    });
    // npm leaves the record of what it installed alone when that was right already.
    utimesSync(installed, new Date(), new Date());
  } catch {
    console.error('ibex: npm install failed; its messages above say why. Mend that and run the same command again.');
    process.exit(1);
  }
}

// Said at each start of Node 20, which rehearsals may have; the host in AWS has a newer one.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

const program = process.argv[2];
if (program !== undefined) {
  const require = createRequire(import.meta.url);
  require('tsx/cjs');
  process.argv.splice(1, 2, resolve(root, program));
  require(process.argv[1]);
}
