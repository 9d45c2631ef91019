#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs the tests of this directory, or only the named ones. Loads missing
# drivers with the parameters that the tests need, and unloads them at the end.
#
# Needs root. Fails if a driver is not available, or is built in or was loaded
# before with other parameters. Skips missing exporters of dma-bufs, and tests
# that need swiotlb=force on the kernel's command line.

DIR=$(dirname "$(readlink -f "$0")")
. "$DIR"/../../kselftest/ktap_helpers.sh

VIVID="n_devs=10 multiplanar=1,1,2,1,1,2,1,2,1,1"
VIVID="$VIVID allocators=0,0,0,1,0,0,0,0,0,2 cache_hints=0,0,0,1"
loaded=

have()
{
	grep -q -s -x "$1" /sys/class/video4linux/*/name
}

# load MODULE [PARAMETER...]
load()
{
	[ ! -d /sys/module/"$1" ] && modprobe -q "$@" && loaded="$1 $loaded"
}

# need NODE MODULE [PARAMETER...]: load the module unless there is such a node
need()
{
	node=$1
	shift
	have "$node" || load "$@"
	have "$node" && return
	ktap_print_msg "no $node: modprobe $*"
	exit "$KSFT_FAIL"
}

unload()
{
	for module in $loaded; do
		modprobe -q -r "$module"
		[ ! -d /sys/module/"$module" ] ||
			ktap_print_msg "$module is in use"
	done
}

# run TEST: prints what it says as comments, and returns its status
run()
{
	return "$({ { "$DIR/$1" 3>&-; echo $? >&3; } |
		sed 's/^/# /' >&4; } 3>&1)"
}

if [ $# -eq 0 ]; then
	for test in "$DIR"/*; do
		[ ! -x "$test" ] || [ "$test" = "$DIR/media.sh" ] ||
			set -- "$@" "${test##*/}"
	done
fi

ktap_print_header
trap unload EXIT
trap 'exit 1' INT TERM
for module in dummy_hcd raw_gadget vhci_hcd gud udmabuf vgem vkms; do
	load $module
done
# return frames with errors, too
load uvcvideo nodrop=1
# shellcheck disable=SC2086 # words
need vivid-009-vid-cap vivid $VIVID
need vim2m vim2m
need stateless-decoder vicodec
need "Raw Capture 1" vimc
need "visl" visl

ktap_set_plan $#
exec 4>&1
for test; do
	run "$test"
	case $? in
	0) ktap_test_pass "$test" ;;
	"$KSFT_SKIP") ktap_test_skip "$test" ;;
	*) ktap_test_fail "$test" ;;
	esac
done
ktap_finished
