import { PLANS_FACT, type PlansFact } from '../plans/fact';
import type { Comparison } from '../plans/compare';
import { block, firstOf, pass, warn, type Gate } from './gate';

const MS_PER_HOUR = 3_600_000;

/** Whether the application's costly statements run on the target as they do on the source. */
export const PLANS_GATE: Gate = {
  name: 'plans of costly statements',
  query: `fact ${PLANS_FACT}, which the phase plans leaves`,
  again: false,
  forwardOnly: true,
  ask: async ({ context: { state, config } }) => {
    const { plans: settings, ready } = config;
    const found = await state.fact<PlansFact>(PLANS_FACT);
    if (!found) return warn('never compared', 'start plans', null);
    const named = (list: readonly Comparison[]): string =>
      firstOf(list.map(({ id, reasons }) => `${id} (${reasons[0] ?? ''})`));
    const doing = (list: readonly Comparison[]): string =>
      `${firstOf([...new Set(list.flatMap(({ todo }) => todo.slice(0, 1)))])}; then start plans again`;
    const by = { warn, block } as const;
    const parts: (readonly [readonly Comparison[], 'warn' | 'block', string])[] = [
      [found.failed, settings.onFailure, 'refused by the target'],
      [found.worse, settings.onWorse, 'worse on the target'],
    ];
    const [first, ...rest] = parts
      .filter(([list]) => list.length > 0)
      .toSorted(([, a], [, b]) => Number(b === 'block') - Number(a === 'block'));
    if (first) {
      const all = [first, ...rest];
      const figure = all.map(([list, , what]) => `${list.length} ${what}: ${named(list)}`).join('; ');
      return by[first[1]](figure, doing(all.flatMap(([list]) => list)), found);
    }
    const hours = (Date.now() - Date.parse(found.at)) / MS_PER_HOUR;
    const figure = `${found.compared} statements compared, ${found.measured} measured, none worse`;
    if (found.compared === 0)
      return warn(`none compared: ${found.without ?? 'none was found'}`, 'name statements in agent.plans.file', found);
    return hours > ready.verifyHours
      ? warn(`${figure}, ${hours.toFixed(1)} hours ago`, 'start plans again', found)
      : pass(figure, found);
  },
};
