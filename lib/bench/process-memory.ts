import { readdirSync, readFileSync } from 'node:fs';

/** How often memory is looked at; milliseconds. */
const INTERVAL_MS = 50;

const KB_PER_MB = 1024;

/** Resident memory of one process; kB. Pages that several processes share are counted with each. 0 for one that is gone. */
function residentKb(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** A process and all that descend from it. */
export function processTree(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      continue;
    }
  }
  const tree = [root];
  for (const pid of tree) tree.push(...[...parents].filter(([, parent]) => parent === pid).map(([child]) => child));
  return tree;
}

/** Watches processes until `stop`, which returns the most memory that they had together at one time; MB. */
export function watchMemory(processes: () => readonly number[]): { stop(): number } {
  let most = 0;
  const look = (): void => {
    most = Math.max(
      most,
      processes().reduce((sum, pid) => sum + residentKb(pid), 0),
    );
  };
  look();
  const timer = setInterval(look, INTERVAL_MS);
  return {
    stop: () => {
      look();
      clearInterval(timer);
      return most / KB_PER_MB;
    },
  };
}
