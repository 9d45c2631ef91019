# The table of one kernel in bench.csv: "unpatched → patched", or what both are.
function thousands(n,	s) {
	for (s = ""; length(n) > 3; n = substr(n, 1, length(n) - 3))
		s = " " substr(n, length(n) - 2) s
	return n s
}
function row(what, operation, size, buffers, attachments,	i, id, before, after, line) {
	line = "| " what " |"
	for (i = 1; i <= n; i++) {
		id = operation SUBSEP exporters[i] SUBSEP size SUBSEP buffers SUBSEP attachments
		before = thousands(value["unpatched", id])
		after = thousands(value["patched", id])
		line = line " " (before == after ? before : before " → " after) " |"
	}
	print line
}
$1 == kernel { value[$2, $3, $4, $5 "x" $6, $7, $8] = $9 }
END {
	n = split("mmap system_heap cma_heap udmabuf_scattered udmabuf_huge", exporters, " ")
	large = "3840x2160"
	small = "640x360"
	print "| Linux " release ", instructions, " large " | MMAP | system heap | CMA heap | udmabuf, 4 KiB | udmabuf, 2 MiB |"
	print "|---|--:|--:|--:|--:|--:|"
	row("`QBUF` of the dma-buf that the buffer knows", "qbuf_known", large, 1, 0)
	row("with 64 buffers, " small, "qbuf_known", small, 64, 0)
	row("with 8 other attachments, " small, "qbuf_known", small, 1, 8)
	row("`QBUF` of another dma-buf than last time", "qbuf_other", large, 1, 0)
	row("of " small, "qbuf_other", small, 1, 0)
	row("`QBUF` of a dma-buf never imported", "qbuf_first", large, 1, 0)
	row("`QBUF` while a device reads the dma-buf", "qbuf_fenced", large, 1, 0)
	row("`DQBUF`", "dqbuf", large, 4, 0)
	row("a frame, from `QBUF` to `DQBUF`", "cycle", large, 4, 0)
	row("the copy to a dma-buf, without import", "copy", large, 4, 0)
	row("`REQBUFS` of 0", "release", large, 1, 0)
	row("last `close()` of the dma-buf", "close", large, 1, 0)
	row("bytes of the kernel's for an imported buffer", "held", large, 4, 0)
	row("bytes kept after `REQBUFS` of 0, until the last `close()`", "kept", large, 4, 0)
	print ""
}
