import { copyFileSync, cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import type { Construct } from 'constructs';
import { bundleAgent } from './agent-bundle';
import { ROOT, withBuildDirectory } from './bundle';

const SHIPPED = ['install.sh', 'metrics.sh', 'tmpfiles.conf', 'sysctl.conf', 'logrotate.conf'];

/** What the install document brings to the host, as one zip file: the program, its units, the installer. */
export function hostPackage(scope: Construct, id: string): Asset {
  return withBuildDirectory('host', (directory) => {
    const from = join(ROOT, 'assets', 'host');
    mkdirSync(join(directory, 'bin'));
    bundleAgent(join(directory, 'bin', 'ibex.cjs'));
    for (const file of SHIPPED) copyFileSync(join(from, file), join(directory, file));
    cpSync(join(from, 'systemd'), join(directory, 'systemd'), { recursive: true });
    return new Asset(scope, id, { path: directory });
  });
}
