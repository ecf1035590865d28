import type { Context } from '../context';
import { commandHook } from './command';
import type { SwitchConfig } from './config';
import { hook } from './hook';
import { poolerSwitch } from './pooler-switch';
import type { Switch } from './switch';
import { Switches } from './switches';

/** The switches of the settings; nothing is connected yet. */
export const makeSwitches = (context: Context): Switches =>
  new Switches(context.config.cutover.switches.map((config) => makeSwitch(config, context)));

function makeSwitch(config: SwitchConfig, context: Context): Switch {
  switch (config.kind) {
    case 'command':
      return hook(commandHook(config.command), config);
    case 'pooler':
      return poolerSwitch(context);
  }
}
