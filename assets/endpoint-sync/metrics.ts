/** Namespace of the function's own metrics. */
export const METRIC_NAMESPACE = 'Ibex/EndpointSync';
/** Addresses in a target group after a run; dimensions `Function` and `Role` (writer, readers). */
export const TARGETS_METRIC = 'Targets';
/** Addresses that a run registered or took out. */
export const CHANGES_METRIC = 'Changes';

/** Which servers a group leads to; a dimension of its metrics. */
export type Role = 'writer' | 'readers';

/** One line in the embedded metric format: CloudWatch Logs makes metrics of it, without a call and its permission. */
export function metricLine(
  functionName: string,
  role: Role,
  values: { readonly targets: number; readonly changes: number },
  now: Date,
): string {
  return JSON.stringify({
    _aws: {
      Timestamp: now.getTime(),
      CloudWatchMetrics: [
        {
          Namespace: METRIC_NAMESPACE,
          Dimensions: [['Function', 'Role']],
          Metrics: [
            { Name: TARGETS_METRIC, Unit: 'Count' },
            { Name: CHANGES_METRIC, Unit: 'Count' },
          ],
        },
      ],
    },
    Function: functionName,
    Role: role,
    [TARGETS_METRIC]: values.targets,
    [CHANGES_METRIC]: values.changes,
  });
}
