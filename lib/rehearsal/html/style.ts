/** How the report looks: in light and dark, on a screen and on paper, without anything from elsewhere. */
export const STYLE = `
:root { color-scheme: light dark; --text: #1f2328; --faint: #59636e; --line: #d1d9e0; --panel: #f6f8fa; --page: #fff;
  --good: #1a7f37; --warn: #9a6700; --bad: #cf222e; --bar: #0969da }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --faint: #9198a1; --line: #3d444d; --panel: #151b23;
  --page: #0d1117; --good: #3fb950; --warn: #d29922; --bad: #f85149; --bar: #4493f8 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.5rem 4rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif }
h1 { margin: 0; font-size: 1.7rem } h2 { margin: 2.2rem 0 .6rem; font-size: 1.15rem } h3 { margin: 1.4rem 0 .4rem; font-size: 1rem }
p { margin: .3rem 0 } .faint { color: var(--faint) }
.head { display: flex; gap: 1rem; align-items: center; justify-content: space-between; flex-wrap: wrap }
.verdict { display: inline-block; padding: .05rem .6rem; border: 1px solid currentColor; border-radius: 1rem;
  font-size: .8rem; font-weight: 600; white-space: nowrap }
.head .verdict { font-size: 1.05rem; padding: .2rem 1.1rem }
.pass, .ok { color: var(--good) } .warn { color: var(--warn) } .block, .bad { color: var(--bad) }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .8rem; margin: 1.2rem 0 0; padding: 0 }
.figures div { border: 1px solid var(--line); border-radius: .5rem; background: var(--panel); padding: .7rem .9rem;
  display: flex; flex-direction: column; justify-content: space-between }
.figures dt { color: var(--faint); font-size: .85rem } .figures dd { margin: 0; font-size: 1.35rem; font-weight: 600;
  font-variant-numeric: tabular-nums }
.reasons { border-left: 4px solid var(--bad); margin: 1.2rem 0 0; padding: .2rem 0 .2rem 2rem }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
th { text-align: left; color: var(--faint); font-size: .85rem; font-weight: 600 }
th, td { padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.number, th.number { text-align: right; padding-right: 1.2rem } td.number { white-space: nowrap } .time { white-space: nowrap; color: var(--faint) } .todo { color: var(--faint) }
.todo::before { content: "→ " } details { color: var(--faint); font-size: .85rem } summary { cursor: pointer }
pre { margin: .3rem 0; padding: .6rem; background: var(--panel); border-radius: .4rem; overflow-x: auto; max-height: 20rem;
  white-space: pre-wrap; overflow-wrap: anywhere; font: 12px/1.45 ui-monospace, "Liberation Mono", monospace }
svg { width: 100%; height: auto; font: 12px system-ui, "Liberation Sans", sans-serif }
svg .grid { stroke: var(--line) } svg .bar { fill: var(--bar) } svg text { fill: var(--text); dominant-baseline: middle }
svg .label { text-anchor: end } svg .tick { fill: var(--faint); text-anchor: middle } svg .figure { fill: var(--faint) }
@media print { details { display: none } }
`;
