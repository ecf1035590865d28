import { approve } from './approve';
import { assertAwsResourceProperty, executeAwsApi, waitForAwsResourceProperty } from './aws-resource';
import { branch } from './branch';
import type { Action } from './definition';
import { executeAutomation } from './execute-automation';
import { loop } from './loop';
import { runCommand } from './run-command';
import { sleep } from './sleep';
import { updateVariable } from './update-variable';

/** The actions that are known here; a runbook that uses another one is refused. */
export const ACTIONS: Readonly<Record<string, Action>> = {
  'aws:approve': approve,
  'aws:assertAwsResourceProperty': assertAwsResourceProperty,
  'aws:branch': branch,
  'aws:executeAwsApi': executeAwsApi,
  'aws:executeAutomation': executeAutomation,
  'aws:loop': loop,
  'aws:runCommand': runCommand,
  'aws:sleep': sleep,
  'aws:updateVariable': updateVariable,
  'aws:waitForAwsResourceProperty': waitForAwsResourceProperty,
};
