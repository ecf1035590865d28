import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ASIDE } from '../../lib/phases';
import type { Approver } from '../../lib/rehearsal/automation/actions/approve';
import type { AwsEndpoint } from '../../lib/rehearsal/automation/aws-api';
import { Automation } from '../../lib/rehearsal/automation/automation';
import { LocalCommandHost } from '../../lib/rehearsal/automation/command-host';
import type { AutomationDocument, SsmDocument } from '../../lib/rehearsal/automation/document';
import type { ExecutionResult } from '../../lib/rehearsal/automation/result';

const DIRECTORY = join(__dirname, '../../assets/runbooks');
const INSTANCE = 'i-0123456789abcdef0';

/** The text of every runbook, by phase. */
export const RUNBOOKS: ReadonlyMap<string, string> = new Map(
  readdirSync(DIRECTORY)
    .sort()
    .map((file) => [file.replace(/\.yaml$/, ''), readFileSync(join(DIRECTORY, file), 'utf8')]),
);

export const parsed = (phase: string): AutomationDocument => parse(RUNBOOKS.get(phase) ?? '') as AutomationDocument;

/** What the host's Command document promises the runbooks. */
const JOB_DOCUMENT = `
schemaVersion: '2.2'
parameters:
  Action: { type: String, allowedValues: [start, status, result, approve], interpolationType: ENV_VAR }
  Phase: { type: String, allowedPattern: '^[a-z]+$', interpolationType: ENV_VAR }
  WaitSeconds: { type: String, allowedPattern: '^[0-9]+$', interpolationType: ENV_VAR }
  By: { type: String, default: '', interpolationType: ENV_VAR }
  Repair: { type: String, allowedValues: ['false', 'true'], default: 'false', interpolationType: ENV_VAR }
mainSteps:
  - name: job
    action: aws:runShellScript
    inputs:
      timeoutSeconds: '25200'
      runCommand:
        - if [ "$SSM_Action" = approve ]; then exec "$IBEX_HOME/bin/ibex" approve --by "$SSM_By"; fi
        - set -- job "$SSM_Action" "$SSM_Phase" --wait "$SSM_WaitSeconds"
        - if [ "$SSM_Repair" = true ]; then set -- "$@" --repair; fi
        - exec "$IBEX_HOME/bin/ibex" "$@"
`;

/** What its profile document promises them. */
const PROFILE_DOCUMENT = `
schemaVersion: '2.2'
parameters:
  Profile: { type: String, allowedValues: [load, serve], interpolationType: ENV_VAR }
mainSteps:
  - name: profile
    action: aws:runShellScript
    inputs:
      timeoutSeconds: '300'
      runCommand:
        - exec "$IBEX_HOME/bin/ibex" profile "$SSM_Profile"
`;

/**
 * How a job goes on the stub host: the states that its status shows, one after the other, the last one for ever;
 * `refused` cannot be started, `done` had succeeded before, `mute` shows nothing at all.
 */
export type Course = readonly ('running' | 'succeeded' | 'failed')[] | 'refused' | 'done' | 'mute' | 'offline';

const STUB = `#!/bin/sh
# ibex job <action> <phase> --wait <seconds> [--repair]
if test "$1" = approve; then echo "approve $3" >> "$IBEX_HOME/calls"; exit; fi
if test "$1" = profile; then
  echo "profile $2" >> "$IBEX_HOME/calls"
  cat "$IBEX_HOME/profile-$2" 2>/dev/null || echo "profile $2 in force; nothing waits for a restart"
  test ! -e "$IBEX_HOME/profile-$2-fails"; exit
fi
echo "$2 $3 $5\${6:+ $6}" >> "$IBEX_HOME/calls"
course=$(cat "$IBEX_HOME/courses/$3" 2>/dev/null || echo succeeded)
state="$IBEX_HOME/state-$3"
current() { test -s "$state" && head -n 1 "$state" || echo failed; }
case "$2:$course" in
  start:refused) echo "no room on the data volume" >&2; exit 1 ;;
  start:done) echo succeeded > "$state"; echo "succeeded $3: done already" ;;
  start:*) for one in $course; do echo "$one"; done > "$state"; echo "started $3" ;;
  status:offline) exit 255 ;;
  status:mute) ;;
  status:*)
    echo "$(current) $3: some words"
    if test "$(wc -l < "$state" 2>/dev/null || echo 0)" -gt 1; then sed -i 1d "$state"; fi ;;
  result:*) echo "$(current) $3: the outcome"; test "$(current)" = succeeded ;;
esac
`;

/** A host whose `ibex` is a stub, with all runbooks in the account. */
export class StubHost {
  /** @param home an empty directory; @param courses how the jobs go, by phase; default: success at once */
  constructor(
    private readonly home: string,
    courses: Readonly<Record<string, Course>>,
  ) {
    mkdirSync(join(home, 'bin'));
    mkdirSync(join(home, 'courses'));
    writeFileSync(join(home, 'bin/ibex'), STUB);
    chmodSync(join(home, 'bin/ibex'), 0o755);
    this.setCourses(courses);
  }

  setCourses(courses: Readonly<Record<string, Course>>): void {
    for (const [phase, course] of Object.entries(courses)) {
      writeFileSync(join(this.home, 'courses', phase), typeof course === 'string' ? course : course.join(' '));
    }
  }

  /** What the profile document says from now on. */
  setProfile(profile: 'load' | 'serve', says: string, fails = false): void {
    writeFileSync(join(this.home, `profile-${profile}`), `${says}\n`);
    if (fails) writeFileSync(join(this.home, `profile-${profile}-fails`), '');
  }

  /** The calls of the program so far, as `action phase seconds`, with the flag that came after, or `profile name`. */
  calls(): string[] {
    return readFileSync(join(this.home, 'calls'), 'utf8').trim().split('\n');
  }

  /** The phases that were started, in order. */
  started(): string[] {
    return this.calls()
      .filter((call) => call.startsWith('start '))
      .map((call) => call.split(' ')[1] ?? '');
  }

  /** @param given parameters beside those that every run has; @param aws who answers as AWS, for the snapshot */
  run(
    runbook: string,
    approve: Approver = async () => 'Approved',
    given: Readonly<Record<string, unknown>> = {},
    aws?: AwsEndpoint,
  ): Promise<ExecutionResult> {
    const documents = new Map<string, SsmDocument>([['ibex-job', parse(JOB_DOCUMENT) as SsmDocument]]);
    documents.set('ibex-profile', parse(PROFILE_DOCUMENT) as SsmDocument);
    for (const phase of RUNBOOKS.keys()) documents.set(`ibex-${phase}`, withTarget(parsed(phase)));
    const host = new LocalCommandHost({
      instanceId: INSTANCE,
      environment: { PATH: process.env['PATH'] ?? '', IBEX_HOME: this.home },
      directory: this.home,
    });
    return new Automation({ documents, host, approve, ...(aws && { aws }) }).start(`ibex-${runbook}`, {
      ...parameters(runbook),
      ...given,
    }).done;
  }
}

/** The runbook as the stack of an Aurora cluster `shop` has it. */
function withTarget(document: AutomationDocument): AutomationDocument {
  const { parameters: declared = {} } = document;
  if (!declared['SnapshotKind'] || !declared['SnapshotOf']) return document;
  return {
    ...document,
    parameters: {
      ...declared,
      SnapshotKind: { ...declared['SnapshotKind'], default: 'cluster' },
      SnapshotOf: { ...declared['SnapshotOf'], default: 'shop' },
    },
  };
}

function parameters(runbook: string): Record<string, unknown> {
  const common = {
    AutomationAssumeRole: 'arn:aws:iam::123456789012:role/ibex-automation',
    InstanceId: INSTANCE,
    CommandDocument: 'ibex-job',
  };
  if (runbook !== 'migrate') return common;
  const children = [...RUNBOOKS.keys()]
    .filter((phase) => phase !== 'migrate' && !ASIDE.some((one) => one === phase))
    .map((phase) => [`${phase.charAt(0).toUpperCase()}${phase.slice(1)}Runbook`, `ibex-${phase}`]);
  return {
    ...common,
    ...Object.fromEntries(children),
    ProfileDocument: 'ibex-profile',
    Snapshot: 'no',
    ApprovalTopicArn: 'arn:aws:sns:eu-central-1:123456789012:Automation-ibex',
    Approvers: ['anna'],
  };
}
