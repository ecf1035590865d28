import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadMigration, synthesize } from '../app';
import { resolveSettings } from '../settings';
import { estimate, ROOT_VOLUMES, type Counts, type EstimateLine } from './estimate';
import { PRICES } from './prices';

interface Properties {
  readonly SubnetIds?: readonly unknown[];
  readonly BlockDeviceMappings?: readonly { readonly Ebs?: { readonly VolumeSize?: number } }[];
}

interface TemplateJson {
  readonly Resources: Readonly<Record<string, { readonly Type: string; readonly Properties?: Properties }>>;
}

/** Resources of each type; an interface endpoint counts once for each zone, a root volume by its GiB. */
function countsOf({ Resources }: TemplateJson): Counts {
  const counts: Record<string, number> = {};
  const add = (type: string, number: number): void => void (counts[type] = (counts[type] ?? 0) + number);
  for (const { Type, Properties } of Object.values(Resources)) {
    add(Type, 1);
    if (Type === 'AWS::EC2::VPCEndpoint') add('interface endpoint in a zone', Properties?.SubnetIds?.length ?? 0);
    for (const { Ebs } of Properties?.BlockDeviceMappings ?? []) add(ROOT_VOLUMES, Ebs?.VolumeSize ?? 0);
  }
  return counts;
}

const money = (amount: number): string =>
  amount.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** The estimate of one migration as text. Throws UsageError when there is no such migration, or its settings are wrong. */
export function estimateReport(name: string, databaseGiB: number): string {
  const settings = resolveSettings(loadMigration(name));
  const outdir = mkdtempSync(join(tmpdir(), 'ibex-estimate-'));
  try {
    const [target, migration] = synthesize(name, outdir).stacks.map((stack) =>
      countsOf(stack.template as TemplateJson),
    );
    return text(name, estimate(settings, { target: target ?? {}, migration: migration ?? {} }, databaseGiB));
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}

function text(name: string, lines: readonly EstimateLine[]): string {
  const width = Math.max(...lines.map(({ what }) => what.length));
  const row = (what: string, amount: string): string => `  ${what.padEnd(width)}  ${amount.padStart(10)}`;
  const part = (stack: EstimateLine['stack'], title: string): string[] => {
    const own = lines.filter((line) => line.stack === stack);
    const sum = own.reduce((total, { monthly = 0 }) => total + monthly, 0);
    const unknown = own.filter(({ monthly }) => monthly === undefined).length;
    return [
      `${name}-${stack}, ${title}`,
      ...own.map(({ what, monthly }) => row(what, monthly === undefined ? 'unknown' : money(monthly))),
      row(unknown === 0 ? 'together' : `together, without ${unknown} unknown`, money(sum)),
      '',
    ];
  };
  return [
    `US dollars a month, list prices of ${PRICES.region} as of ${PRICES.asOf}; what is paid by use is not in it.`,
    '',
    ...part('target', 'stays'),
    ...part('migration', 'until it is destroyed'),
  ].join('\n');
}
