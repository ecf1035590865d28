import type { Context } from '../context';
import { automationHook } from './automation';
import { commandHook } from './command';
import type { SwitchConfig } from './config';
import { hook } from './hook';
import { lambdaHook } from './lambda';
import { loadBalancerSwitch } from './load-balancer';
import { poolerSwitch } from './pooler-switch';
import { recordSetSwitch } from './record-set';
import type { Switch } from './switch';
import { Switches } from './switches';

/** The switches of the settings; nothing is connected yet. */
export const makeSwitches = (context: Context): Switches =>
  new Switches(context.config.cutover.switches.map((config) => makeSwitch(config, context)));

/** The switches of those who only read. */
export const makeReaderSwitches = (context: Context): Switches =>
  new Switches(context.config.cutover.readersFirst.switches.map((config) => makeSwitch(config, context)));

function makeSwitch(config: SwitchConfig, context: Context): Switch {
  switch (config.kind) {
    case 'command':
      return hook(commandHook(config.command), config);
    case 'automation':
      return hook(automationHook(context, config.document, config.roleArn), config);
    case 'lambda':
      return hook(lambdaHook(context, config.function), config);
    case 'nlb':
      return loadBalancerSwitch(context, config);
    case 'dns':
      return recordSetSwitch(context, config);
    case 'pooler':
      return poolerSwitch(context);
  }
}
