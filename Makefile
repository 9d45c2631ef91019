# SPDX-License-Identifier: GPL-2.0
# The verbs of this repository; what they do is in scripts/.

KERNELS = $(or $(KERNEL),7.3 6.12)
ONE     = $(or $(KERNEL),7.3)
FLAVOUR = release
export TREE EXPORTER OPERATION SIZE

.PHONY: help setup tree export check kernel test demo bench profile lint shell compare clean

help:
	@echo 'make demo      a camera on a virtual screen without a copy, and a table of exporters'
	@echo 'make test      all tests, one boot for each kernel'
	@echo 'make compare   the tests of the series on the unpatched and the patched kernel'
	@echo 'make bench     what an import costs, unpatched and patched: a table and a plot'
	@echo 'make profile   in which functions of the kernel that goes'
	@echo 'make check     patches, files shown and what applies are the same'
	@echo 'make lint      checkpatch, W=1 and sparse for each patch; shellcheck'
	@echo 'make tree      build/KERNEL/linux: the patches as commits, to work on'
	@echo 'make export    the commits of that tree as patches'
	@echo 'make kernel    build/KERNEL/FLAVOUR/arch/x86/boot/bzImage'
	@echo 'make shell     a shell in the virtual machine (Ctrl-A X ends it)'
	@echo 'make setup     installs the Debian packages that all this needs'
	@echo 'make clean     removes build/, downloads and trees included'
	@echo
	@echo 'KERNEL=7.3|6.12     without it: both for test, check, lint, compare, bench; else 7.3'
	@echo 'FLAVOUR=release|debug|highmem|base   for kernel, test, shell and profile'
	@echo 'EXPORTER=system_heap OPERATION=qbuf_other SIZE=3840x2160   for profile'
	@echo 'TREE=/your/linux    uses a copy of your tree in place of the Debian source'

setup:
	@scripts/setup

tree: setup
	@scripts/series import $(ONE)

export:
	@scripts/series export $(ONE)

check: setup
	@scripts/series-test
	@set -e; for kernel in $(KERNELS); do scripts/series check $$kernel; done

kernel: setup
	@scripts/kernel $(ONE) $(FLAVOUR)

test: setup
	@scripts/test $(FLAVOUR) $(KERNELS)

demo: setup
	@scripts/demo $(ONE)

lint: setup
	@scripts/lint $(KERNELS)

shell: setup
	@scripts/kernel $(ONE) $(FLAVOUR)
	@scripts/initrd $(ONE) $(FLAVOUR)
	@scripts/vm $(ONE) $(FLAVOUR) shell

compare: setup
	@scripts/compare $(KERNELS)

bench: setup
	@scripts/bench $(KERNELS)

profile: setup
	@scripts/profile $(ONE) $(FLAVOUR)

clean:
	rm -rf build/* build
