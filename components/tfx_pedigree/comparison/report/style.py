"""The page's style sheet: two colour schemes, one column on a phone, no font from elsewhere.

Colours keep a contrast of at least 4.5 to 1 for text on its ground; better and worse differ in shape and word as well.
"""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--ground:#f4f5f7;--card:#fff;--ink:#18202b;--muted:#566173;--line:#dde2e9;
--good:#0a6b4b;--good-ground:#e4f4ed;--bad:#b0271d;--bad-ground:#fcebe9;--unsure:#805300;--unsure-ground:#fdf2dc;
--new:#1d5fc4;--old:#6b7686;--track:#eef1f5}
@media (prefers-color-scheme:dark){:root{--ground:#0f1319;--card:#181e27;--ink:#e8edf4;--muted:#a5b0c0;--line:#2c3542;
--good:#63d3a6;--good-ground:#11302a;--bad:#ff9187;--bad-ground:#3a1a19;--unsure:#f0c164;--unsure-ground:#372a10;
--new:#82b3ff;--old:#a3adbb;--track:#222a36}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
-webkit-text-size-adjust:100%}
main,header.top,footer{max-width:66rem;margin:0 auto;padding:0 1rem}
header.top{padding-top:1.5rem}
h1{font-size:1.6rem;line-height:1.25;margin:.1rem 0 .9rem;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:0 0 .6rem}h3 .note{font-weight:400}
h3{font-size:1rem;margin:1.1rem 0 .4rem}
p{margin:.4rem 0}
.kicker,.note,figcaption,footer{color:var(--muted);font-size:.875rem}
.kicker{margin:0}
section,.verdict{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1.1rem 1.2rem;
margin:1rem 0}
.verdict{display:flex;gap:1rem;align-items:flex-start;border-width:1px 1px 1px .45rem}
.verdict .mark{flex:none;width:2.4rem;height:2.4rem}
.verdict .word{font-weight:700;letter-spacing:.02em;margin:0}
.verdict .reason{margin:.15rem 0 0;font-size:1.1rem;line-height:1.45;overflow-wrap:anywhere}
.pass{border-color:var(--good);background:var(--good-ground)}.pass .word,.good{color:var(--good)}
.fail{border-color:var(--bad);background:var(--bad-ground)}.fail .word,.bad{color:var(--bad)}
.insufficient{border-color:var(--unsure);background:var(--unsure-ground)}
.insufficient .word,.unsure{color:var(--unsure)}
.muted{color:var(--muted)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.2rem,1fr));gap:.75rem;margin:1rem 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:.75rem .95rem}
.tile dt{color:var(--muted);font-size:.875rem}.tile dd{margin:0}
.tile .big{font-size:1.45rem;font-weight:650;line-height:1.3;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.warnings{border-left:.45rem solid var(--unsure)}
.warnings ul,.changes{margin:.3rem 0;padding-left:1.2rem}li{overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.4rem .6rem .4rem 0;border-top:1px solid var(--line);vertical-align:top;
overflow-wrap:anywhere}
thead th{border-top:0;white-space:nowrap;color:var(--muted);font-size:.8125rem;font-weight:600;vertical-align:bottom}
tbody th{font-weight:500;min-width:7.5rem}
.n{text-align:right;white-space:nowrap;padding-right:.9rem}
th:last-child,td:last-child{padding-right:0}
td.plot{width:38%;padding-top:.3rem;padding-bottom:.2rem}
td.outcome{white-space:nowrap;font-weight:600}
svg{display:block;overflow:visible}
svg.row{width:100%;height:24px}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;fill:var(--muted)}
.axis{stroke:var(--line)}.zero{stroke:var(--muted)}.track{fill:var(--track)}
.s-new{stroke:var(--new)}.f-new{fill:var(--new)}.s-old{stroke:var(--old)}.f-old{fill:var(--old)}
.s-good{stroke:var(--good)}.f-good{fill:var(--good)}.s-bad{stroke:var(--bad)}.f-bad{fill:var(--bad)}
.s-none{stroke:var(--muted)}.f-none{fill:var(--muted)}.hollow{fill:var(--card)}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;color:var(--muted);font-size:.875rem;margin:.2rem 0 .5rem;
padding:0;list-style:none}.legend svg{display:inline-block;width:1.6rem;height:.8rem;margin-right:.35rem}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.875em;overflow-wrap:anywhere}
.whole{white-space:nowrap}
pre{white-space:pre-wrap;background:var(--track);border-radius:.5rem;padding:.8rem;margin:.5rem 0 0}
details{margin-top:.7rem}summary{cursor:pointer;font-weight:600;padding:.2rem 0}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(18rem,100%),1fr));gap:.4rem 1.6rem}
svg.figure{width:100%;max-width:26rem;height:auto}.figures .note{margin:0 0 .3rem}
.disc-good{fill:var(--good)}.disc-bad{fill:var(--bad)}.disc-unsure{fill:var(--unsure)}
.stroke{stroke:var(--card);stroke-linecap:round}
.curve{fill:none;stroke-width:2;stroke-linejoin:round}.fill-new{fill:var(--new);fill-opacity:.16}
.fill-old{fill:var(--old);fill-opacity:.1}.curve.s-old{stroke-dasharray:5 3}.dashed{stroke-dasharray:2 4;opacity:.7}
.matrix td .note,.ends{display:block;font-size:.8125rem;color:var(--muted);font-weight:400}
.matrix td{padding:.4rem .7rem}.matrix thead th{white-space:normal}
.h0{--deep:0%}.h1{--deep:5%}.h2{--deep:9%}.h3{--deep:13%}.h4{--deep:17%}
.hit{background:color-mix(in srgb,var(--good) var(--deep),transparent)}
.miss{background:color-mix(in srgb,var(--bad) var(--deep),transparent)}
.wide{overflow-x:auto}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));gap:0 2rem}
footer{padding:.5rem 1rem 2.5rem;overflow-wrap:anywhere}
@media (max-width:40rem){
header.top{padding-top:1rem}h1{font-size:1.35rem}
section,.verdict{padding:.9rem 1rem;border-radius:.6rem}.verdict{gap:.7rem}.verdict .mark{width:1.8rem;height:1.8rem}
.tiles{grid-template-columns:1fr 1fr}.tile{padding:.6rem .75rem}.tile .big{font-size:1.2rem}
table.stack,table.stack thead,table.stack tbody{display:block}
table.stack thead th:not(.ruler){position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table.stack thead th.ruler{flex:1 1 100%;width:100%}
table.stack tr{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 .7rem;padding:.55rem 0;
border-top:1px solid var(--line)}
table.stack thead tr{padding:0;border:0}
table.stack thead+tbody tr:first-child{border-top:0}
table.stack th,table.stack td{border:0;padding:0;text-align:left;white-space:normal}
table.stack th[scope=row]{flex:1 1 0;min-width:52%}
table.stack td.lead{order:1;text-align:right;min-width:40%}
table.stack td[data-label]{order:2;color:var(--muted);font-size:.8125rem}
table.stack td[data-label]::before{content:attr(data-label) " "}
.figures{grid-template-columns:1fr}
table.stack td.plot,table.stack td.wide{flex:1 1 100%;width:100%;order:9}
}
@media print{body{background:#fff}section,.verdict,.tile{break-inside:avoid}}
"""
