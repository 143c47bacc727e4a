# A terminal's screen (tmux capture-pane -e) as SVG:  awk -f terminal.awk -v columns=80 screen > screen.svg
# Knows bold, dim, and 16-colour, 256-colour and 24-bit foregrounds.

function escape(text) {
    gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text); gsub(/>/, "\\&gt;", text)
    return text
}
function hex(r, g, b) { return sprintf("#%02x%02x%02x", r, g, b) }
function colour256(n,    level) {
    if (n < 16) return palette[n]
    if (n >= 232) { level = 8 + 10 * (n - 232); return hex(level, level, level) }
    n -= 16
    return hex(cube[int(n / 36)], cube[int(n / 6) % 6], cube[n % 6])
}
function apply(codes,    part, n, i) {
    n = split(codes, part, /[;:]/)
    if (codes == "") n = split("0", part, ";")
    for (i = 1; i <= n; i++) {
        if (part[i] == 0) { fill = ink; weight = ""; opacity = "" }
        else if (part[i] == 1) weight = " font-weight=\"bold\""
        else if (part[i] == 2) opacity = " opacity=\"0.6\""
        else if (part[i] == 22) { weight = ""; opacity = "" }
        else if (part[i] >= 30 && part[i] <= 37) fill = palette[part[i] - 30]
        else if (part[i] >= 90 && part[i] <= 97) fill = palette[part[i] - 82]
        else if (part[i] == 39) fill = ink
        else if (part[i] == 38 && part[i + 1] == 5) { fill = colour256(part[i + 2]); i += 2 }
        else if (part[i] == 38 && part[i + 1] == 2) { fill = hex(part[i + 2], part[i + 3], part[i + 4]); i += 4 }
    }
}
function emit(text) {
    if (text != "")
        body = body sprintf("<tspan fill=\"%s\"%s%s>%s</tspan>", fill, weight, opacity, escape(text))
}
BEGIN {
    if (!columns) columns = 80
    cell = 8.4; line_height = 18; margin = 16
    paper = "#fbfaf7"; ink = "#2e3440"; fill = ink
    split("#2e3440 #bf3b2b #4f7a28 #9a6a00 #4c72a8 #8a4b94 #2b7d86 #6b7280 #7b8294 #d9622b #5f8f3a #b07d12 #5b83bd #a05cab #3a939c #9aa0ad", names, " ")
    for (i = 0; i < 16; i++) palette[i] = names[i + 1]
    split("0 95 135 175 215 255", steps, " ")
    for (i = 0; i < 6; i++) cube[i] = steps[i + 1]
}
{
    body = ""; rest = $0
    while (match(rest, /\033\[[0-9;:]*m/)) {
        emit(substr(rest, 1, RSTART - 1))
        apply(substr(rest, RSTART + 2, RLENGTH - 3))
        rest = substr(rest, RSTART + RLENGTH)
    }
    emit(rest)
    lines[NR] = body
}
END {
    while (NR > 0 && lines[NR] == "") NR--
    width = 2 * margin + columns * cell; height = 2 * margin + NR * line_height
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", width, height, width, height
    printf "<rect width=\"100%%\" height=\"100%%\" rx=\"8\" fill=\"%s\"/>\n", paper
    printf "<g font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"14\" xml:space=\"preserve\">\n"
    for (i = 1; i <= NR; i++)
        if (lines[i] != "")
            printf "<text x=\"%d\" y=\"%d\">%s</text>\n", margin, margin + i * line_height - 5, lines[i]
    print "</g>\n</svg>"
}
