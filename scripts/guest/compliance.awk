# Turns the output of v4l2-compliance into KTAP. A failure that is listed in
# compliance.known, by the message that it comes with, becomes a skip; a listed
# one that does not fail any more, or fails otherwise, becomes a failure.
BEGIN {
	while ((getline line < "/guest/compliance.known") > 0) {
		if (line ~ /^#/ || split(line, part, / *\| */) < 5)
			continue
		if ((part[1] == "any" || part[1] == kernel) && part[2] == device) {
			message[part[3]] = part[4]
			reason[part[3]] = part[5]
		}
	}
}

# it counts frames in place, with carriage returns, in front of some results
{
	gsub(/\r| +$/, "")
	sub(/^.*Frame #.*\ttest /, "\ttest ")
}

# "Control ioctls (Input 0):" starts a section
/^\t?[A-Z].*:$/ {
	section = $0
	gsub(/^\t|:$/, "", section)
}

/^\t+fail: / {
	sub(/^\t+fail: /, "")
	failure = failure $0 "; "
}

# with all formats: "test MMAP for Format RGB3, Frame Size 640x480:" starts one
/^\t+test .* for Format .*:$/ {
	section = $0
	gsub(/^\t+test |:$/, "", section)
}

# and what was streamed is no "test", but counts
/^\t+(test |.* -> |.*Stride ).*: (OK|FAIL|OK \(.*\))$/ {
	name = $0
	sub(/^\t+(test )?/, "", name)
	failed = name ~ /: FAIL$/
	sub(/: (OK|FAIL)[^:]*$/, "", name)
	name = section " " name
	gsub(/[^A-Za-z0-9_\/(), -]/, "", name)

	# its forked children flush what the parent had printed once more
	if (name == last)
		next
	last = name
	if (failed && (name in message) && index(failure, message[name])) {
		result[++n] = "ok " n " " name " # SKIP known: " reason[name]
	} else if (failed) {
		result[++n] = "not ok " n " " name "\n# " failure
	} else if (name in message) {
		result[++n] = "not ok " n " " name "\n# listed in compliance.known, but passes"
	} else {
		result[++n] = "ok " n " " name
	}
	delete message[name]
	failure = ""
}

/^Total for / {
	total = $0
	sub(/.*: /, "", total)
	sub(/,.*/, "", total)
	match($0, /device [^,]*: [0-9]+,/)
	split(substr($0, RSTART, RLENGTH), word, /: |,/)
	total = word[2] + 0
}

END {
	if (total != n || n == 0)
		result[++n] = "not ok " n " v4l2-compliance ran to its end"
	for (name in message)
		result[++n] = "not ok " n " " name "\n# listed in compliance.known, but was not run"
	print "KTAP version 1\n1.." n
	for (i = 1; i <= n; i++)
		print result[i]
}
