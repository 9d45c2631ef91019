# The table of scripts/compare, from lines "test | verdict". Arguments: tests that
# pass without the series as well, tests that may be skipped, tests that may be
# skipped without the series, the verdicts without it, the verdicts with it.
function wrong(what) {
	print kernel ": " what > wrongs
}
function row(name, without, with) {
	printf "%-39s | %s | %s\n", name, without, with
}
# the regular expression in @list that the name matches
function listed(list, name,	regex) {
	for (regex in list)
		if (name ~ "^(" regex ")$") return regex
}
# on this kernel, with and without the series or only without it
function excused(name) {
	return listed(without_only, name) || listed(skip, name)
}
function judge_test(name, without, with,	known) {
	row(name, without, with)
	if (without !~ /^is /) {
		ran++
		failing += without != "passes"
		crashing += without ~ /^crashes/
	}
	known = listed(same, name)
	# races are not lost each time
	if (without == "passes")
		used[known]
	if (without == "passes" && !known)
		wrong(name " passes without the series: it shows nothing, or scripts/compare.same has to say why")
	if (without == "has no result" || without == "is skipped" && !excused(name))
		wrong(name " " without " without the series")
	if (with != "passes" && !(with == "is skipped" && listed(skip, name)))
		wrong(name " " with " with the series")
}
function judge_compliance(name, without, with) {
	results++
	if (with == "passes" && without != "passes")
		better++
	else if (with == "fails" || with != without)
		wrong(name " " without " without the series, " with " with it")
	changed += with != without
}
FILENAME == ARGV[1] { same[$1]; next }
FILENAME == ARGV[2] { skip[$1]; next }
FILENAME == ARGV[3] { without_only[$1]; next }
FILENAME == ARGV[4] {
	base[$1] = $2
	sub(/[.].*/, "", $1)
	tried[$1]
	next
}
{
	if (!($1 in patched)) order[++n] = $1
	patched[$1] = $2
}
END {
	row("kernel " kernel, "unpatched", "patched")
	for (i = 1; i <= n; i++) {
		# a crash counts for all tests of a suite
		name = suite = order[i]
		sub(/[.].*/, "", suite)
		without = name in base ? base[name] : suite in base ? base[suite] : suite in tried ? "is not there" : "has no result"
		if (name ~ /^v4l2-compliance[.]/)
			judge_compliance(name, without, patched[name])
		else
			judge_test(name, without, patched[name])
	}
	for (name in same)
		if (!(name in used))
			wrong("no test is " name ", but scripts/compare.same lists it")
	for (name in base)
		if (!(name in patched) && base[name] !~ /^(crashes|hangs)/)
			wrong(name " " base[name] " without the series, and is missing with it")
	print "unpatched: " ran + 0 " tests can run, " failing + 0 " of them do not pass, " crashing + 0 " crash"
	print "v4l2-compliance: " results + 0 " results, " \
		(changed ? changed " not the same, " better + 0 " of them better" : "all the same")
}
