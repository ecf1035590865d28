import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Authority } from './authority';
import { baseRoot } from './base-root';
import { buildPackage } from './deb';
import { nodeRelease, type NodeRelease } from './node-release';
import { archivedPackages, currentPackages } from './postgresql-project';
import { makeRepository, SigningKey } from './signed-repository';
import { agentPackage } from './ssm-agent';
import { ARCHIVE_HOST, CURRENT_HOST, REGION } from './world';

/** Version of the agent that the examples' settings ask for. */
const AGENT_VERSION = '3.3.2746.0';

/** What every machine of a run starts from. */
export interface Ground {
  /** The workspace. */
  readonly directory: string;
  /** Tar file of Debian 12. */
  readonly base: string;
  readonly authority: Authority;
  readonly node: NodeRelease;
  readonly agent: { readonly file: string; readonly version: string; readonly sha256: string };
  /** Directories of the PostgreSQL project's repositories, by host name. */
  readonly repositories: Readonly<Record<string, string>>;
  /** Their public key. */
  readonly key: string;
}

const sha256Of = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

/** Makes it all, in a workspace. */
export async function prepareGround(directory: string, log: (line: string) => void): Promise<Ground> {
  const base = await baseRoot(log);
  const node = await nodeRelease();
  mkdirSync(join(directory, 'certificates'));
  const authority = await Authority.create(join(directory, 'certificates'));
  const agent = join(directory, 'amazon-ssm-agent.deb');
  await buildPackage(agentPackage(AGENT_VERSION, REGION), agent);
  const signing = await SigningKey.create(join(directory, 'gnupg'));
  try {
    const [current, archive] = [join(directory, 'repository-current'), join(directory, 'repository-archive')];
    await makeRepository(current, 'bookworm-pgdg', await currentPackages(17, log), signing);
    await makeRepository(archive, 'bookworm-pgdg-archive', await archivedPackages(11, log), signing);
    return {
      directory,
      base,
      node,
      authority,
      agent: { file: agent, version: AGENT_VERSION, sha256: sha256Of(agent) },
      repositories: { [CURRENT_HOST]: current, [ARCHIVE_HOST]: archive },
      key: await signing.publicKey(),
    };
  } finally {
    await signing.close();
  }
}
