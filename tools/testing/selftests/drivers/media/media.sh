#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs the tests in this directory, with the drivers that they need: loads what
# is not there, with the parameters that the tests want, and unloads it again.
#
# Needs root. Fails if a driver cannot be had, or was built in or loaded, and is
# in use, with other parameters. Exporters of dma-bufs that are not there are
# skipped, and so is what needs swiotlb=force on the command line.

DIR=$(dirname "$(readlink -f "$0")")
. "$DIR"/../../kselftest/ktap_helpers.sh

VIVID="n_devs=10 multiplanar=1,1,2,1,1,2,1,2,1,1"
VIVID="$VIVID allocators=0,0,0,1,0,0,0,0,0,2 cache_hints=0,0,0,1"
loaded=

# load NODE MODULE [PARAMETER...]: the module, and a node that it then has
load()
{
	node=$1
	module=$2
	shift

	# not with the parameters of somebody else
	[ ! -d /sys/module/"$module" ] || modprobe -q -r "$module"
	[ -d /sys/module/"$module" ] || loaded="$module $loaded"
	modprobe -q "$@"
	grep -q -s -x "$node" /sys/class/video4linux/*/name && return
	ktap_print_msg "no $node: modprobe $*"
	unload
	exit "$KSFT_FAIL"
}

unload()
{
	for module in $loaded; do
		modprobe -q -r "$module" || return 1
	done
	loaded=
}

ktap_print_header
for module in udmabuf vgem vkms; do
	[ -d /sys/module/$module ] || ! modprobe -q $module ||
		loaded="$module $loaded"
done
# shellcheck disable=SC2086 # words
load vivid-009-vid-cap vivid $VIVID
load vim2m vim2m
load stateless-decoder vicodec
load "Raw Capture 1" vimc
load visl visl

set --
for test in "$DIR"/*; do
	[ ! -f "$test" ] || [ ! -x "$test" ] || [ "${test%.sh}" != "$test" ] ||
		set -- "$@" "$test"
done
ktap_set_plan $(($# + 1))

for test; do
	"$test"
	case $? in
	0) ktap_test_pass "$(basename "$test")" ;;
	"$KSFT_SKIP") ktap_test_skip "$(basename "$test")" ;;
	*) ktap_test_fail "$(basename "$test")" ;;
	esac
done
if unload; then
	ktap_test_pass unload
else
	ktap_test_fail unload
fi

ktap_finished
