/* How an exported notebook looks: the colours of the figures, on a screen that is light or dark, and on paper. */
#include "repl/document/html.h"

const char *const nb_html_style[] = {
    ":root{color-scheme:light dark;--paper:#fbfaf7;--card:#f3f1ea;--ink:#2e3440;--muted:#666d80;--line:#dedacf;"
    "--accent:#3b6299;--warm:#b94d1c;--green:#4a7a3d}\n",
    "@media screen and (prefers-color-scheme:dark){:root{--paper:#1d2129;--card:#252a34;--ink:#dfe4ec;--muted:#9aa3b2;"
    "--line:#3a4150;--accent:#8db3e8;--warm:#f09a70;--green:#9fc793}}\n",
    "*{box-sizing:border-box}\n",
    "html{-webkit-text-size-adjust:100%}\n",
    "body{margin:0;background:var(--paper);color:var(--ink);font:17px/1.6 Charter,'Bitstream Charter','Iowan Old Style',"
    "'Palatino Linotype',Palatino,Georgia,'DejaVu Serif',serif;overflow-wrap:break-word}\n",
    "main{max-width:46rem;margin:0 auto;padding:3.5rem 1.5rem 2rem}\n",
    "header{margin:0 0 2.5rem;padding:0 0 1.1rem;border-bottom:1px solid var(--line)}\n",
    "h1,h2,h3,h4,h5,h6{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue','DejaVu Sans',sans-serif;"
    "font-weight:650;line-height:1.25;letter-spacing:-.011em;margin:2.2em 0 .6em;break-after:avoid}\n",
    "h1{font-size:2rem;letter-spacing:-.02em;margin:1.2em 0 .5em}\n",
    "h2{font-size:1.4rem}h3{font-size:1.15rem}h4,h5,h6{font-size:1rem}\n",
    "header h1{margin:0}header~section h1{font-size:1.55rem;margin-top:1.6em}\n",
    "header p,footer{font:.82rem/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;"
    "color:var(--muted)}\n",
    "header p{margin:.5rem 0 0}\n",
    "footer{max-width:46rem;margin:2rem auto 0;padding:1rem 1.5rem 3rem}\n",
    "p,ul,ol,blockquote,.listing,figure,.wide{margin:0 0 1.1em}\n",
    "li{margin:.2em 0}li.task{list-style:none;margin-left:-1.4em}\n",
    "a{color:var(--accent);text-decoration-thickness:1px;text-underline-offset:.15em}\n",
    "blockquote{margin-left:0;padding:.1em 0 .1em 1.1em;border-left:3px solid var(--line);color:var(--muted)}\n",
    "hr{border:0;border-top:1px solid var(--line);margin:2.4em 0}\n",
    "code,pre,.out{font-family:ui-monospace,'SF Mono','Cascadia Mono','JetBrains Mono',Menlo,Consolas,"
    "'DejaVu Sans Mono',monospace;font-variant-ligatures:none}\n",
    "code{font-size:.86em;background:var(--card);border-radius:3px;padding:.12em .32em}\n",
    "pre{margin:0;white-space:pre-wrap;tab-size:4}pre code{font-size:inherit;background:none;padding:0}\n",
    ".listing{font-size:.82rem;line-height:1.55;background:var(--card);border-radius:6px;padding:.8rem 1rem}\n",
    ".math{font-family:'STIX Two Text','Cambria Math',Cambria,'DejaVu Serif',serif;font-style:italic;white-space:nowrap}\n",
    ".math.display{display:block;text-align:center;margin:.9em 0;font-size:1.06em;white-space:normal}\n",
    "sub,sup{font-size:.72em;line-height:0}\n",
    "img{max-width:100%;height:auto}img.own{display:block;margin:0 auto}\n",
    ".missing,.undrawn{color:var(--muted);font-style:italic}\n",
    ".cell{position:relative;margin:0 0 1.6rem}\n",
    ".code{position:relative;font-size:.86rem;line-height:1.6;background:var(--card);border-radius:6px;"
    "border-left:3px solid var(--accent);padding:.65rem 1rem .65rem .9rem;break-inside:avoid}\n",
    ".label{display:block;font:.72rem/1.4 ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;color:var(--muted);"
    "margin:0 0 .25rem;user-select:none}\n",
    ".command{color:var(--accent);font-weight:600}.word{color:var(--accent)}.text{color:var(--green)}"
    ".comment{color:var(--muted);font-style:italic}\n",
    ".out{font-size:.8rem;line-height:1.55;padding:.7rem 0 0 .95rem}\n",
    ".out p{margin:0 0 .35em;white-space:pre-wrap}\n",
    ".out code{font-size:1em;white-space:nowrap}\n",
    ".out .value{font-size:.9rem}\n",
    ".out .written{font:1rem/1.6 Charter,'Bitstream Charter','Iowan Old Style','Palatino Linotype',Palatino,Georgia,"
    "'DejaVu Serif',serif;border-left:3px solid var(--line);padding:.1em 0 .1em 1em;margin:.3em 0 .7em}\n",
    ".out .error{color:var(--warm)}\n",
    ".measured{color:var(--muted);border-bottom:1px dotted var(--muted)}\n",
    ".muted{color:var(--muted)}.alert{color:var(--warm)}\n",
    ".wide{overflow-x:auto}\n",
    "table{border-collapse:collapse;font-size:.92em;font-variant-numeric:tabular-nums;line-height:1.45}\n",
    ".out table{font-size:1em;margin:.2em 0 .3em}\n",
    "th,td{padding:.22em 1.3em .22em 0;text-align:left;vertical-align:top}\n",
    "th:last-child,td:last-child{padding-right:0}\n",
    "th{font-weight:600;color:var(--muted);border-bottom:1px solid var(--line);white-space:nowrap}\n",
    "tbody tr+tr td{border-top:1px solid color-mix(in srgb,var(--line) 55%,transparent)}\n",
    ".bare tbody tr+tr td{border-top:0}.bare td{padding-top:.08em;padding-bottom:.08em}\n",
    ".out td{white-space:pre}.out td.flow{white-space:pre-wrap}\n",
    ".right{text-align:right}.center{text-align:center}\n",
    ".spark{display:block;fill:var(--accent);margin-top:.1em}\n",
    "figure{margin:.5rem 0 .8rem;break-inside:avoid}figure img{display:block;border-radius:6px;"
    "border:1px solid var(--line)}\n",
    ".question{margin:0 0 1.6rem;padding:.9rem 1.1rem .1rem;border:1px solid var(--line);border-left:3px solid var(--warm);"
    "border-radius:6px;break-inside:avoid}\n",
    ".question b{font:600 .78rem/1 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;color:var(--warm);"
    "display:block;margin:0 0 .5rem}\n",
    "@media screen and (min-width:62rem){.label{position:absolute;right:calc(100% + 1rem);top:.85rem;white-space:nowrap;"
    "margin:0}}\n",
    "@media print{@page{margin:18mm 16mm}:root{--paper:#fff;--card:#f6f5f1;font-size:10pt}body{font-size:1rem}.code{break-after:avoid}main{max-width:none;"
    "padding:0}footer{padding:0;max-width:none}.code,.listing{border:1px solid var(--line);"
    "border-left:3px solid var(--accent)}a{color:inherit}.wide{overflow:visible}tr{break-inside:avoid}"
    "p{orphans:3;widows:3}}\n",
    NULL,
};
