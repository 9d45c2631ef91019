# What a frame in somebody else's buffer costs, against its size:
# gnuplot -e "csv='bench.csv'; kernel='7.3'; release='7.3.4'" bench.gnuplot > bench.svg
set terminal svg size 720,450 font 'sans-serif,13' background '#ffffff'
set datafile separator ','
set logscale xy
set xlabel 'frame of 4 bytes per pixel'
set ylabel 'instructions for each frame'
set title 'Linux '.release.': buffers of the system heap, each time another one'
set xtics ('640x360' 640*360, '1280x720' 1280*720, '1920x1080' 1920*1080, '3840x2160' 3840*2160)
set xrange [640*360*0.85:3840*2160*1.15]
set yrange [1e3:1e7]
set format y '10^{%T}'
set grid
set key top left reverse Left
rows(series, operation, exporter, buffers) = sprintf("< grep -E '^%s,%s,%s,%s,[0-9]+,[0-9]+,%d,0,' '%s'", \
	kernel, series, operation, exporter, buffers, csv)
set style data linespoints
set linetype 1 linewidth 2 linecolor '#888888'
set linetype 2 linewidth 2 linecolor '#c0392b'
set linetype 3 linewidth 2 linecolor '#2471a3'
set linetype 4 linewidth 2 linecolor '#1e8449'
plot rows('unpatched', 'copy', 'system_heap', 4) using ($5*$6):9 title 'capture to MMAP, and copy', \
	rows('unpatched', 'qbuf_other', 'system_heap', 1) using ($5*$6):9 title 'import, unpatched', \
	rows('patched', 'qbuf_other', 'system_heap', 1) using ($5*$6):9 title 'import, patched', \
	rows('unpatched', 'qbuf_known', 'mmap', 1) using ($5*$6):9 title 'MMAP: no import'
