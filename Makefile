# SPDX-License-Identifier: GPL-2.0
# The verbs of this repository; what they do is in scripts/.

ALL     = $(shell cat patches/kernels)
KERNELS = $(or $(KERNEL),$(ALL))
ONE     = $(or $(KERNEL),$(firstword $(ALL)))
FLAVOUR = patched
export FLAVOUR HOURS TREE EXPORTER OPERATION SIZE

.PHONY: help setup tree export check kernel test demo bench profile lint checkers shell compare clients soak kunit mail results clean

help:
	@echo 'make demo       a camera on a virtual screen without a copy, and a table of exporters'
	@echo 'make test       all tests, one boot for each kernel'
	@echo 'make shell      a shell in the virtual machine (Ctrl-A X ends it)'
	@echo 'make setup      installs the Debian packages that most verbs need'
	@echo 'make compare    the tests of the series on the unpatched and the patched kernel'
	@echo 'make bench      what an import costs, unpatched and patched: a table and a plot'
	@echo 'make profile    in which functions of the kernel an import spends that'
	@echo 'make clients    GStreamer, libcamera, v4l2-ctl and the suites of others, frames counted'
	@echo 'make soak       tests again and again for HOURS=1, with memory short; frames verified'
	@echo 'make kunit      the KUnit tests by kunit.py: UML, arm64, arm'
	@echo
	@echo 'to change the series:'
	@echo 'make tree       build/KERNEL/linux: the patches as commits, a branch for each topic'
	@echo 'make export     the commits of that tree as patches'
	@echo 'make check      each topic applies on what it needs; the files shown are up to date'
	@echo 'make lint       checkpatch, W=1 and sparse for each topic on what it needs; kernel-doc; shellcheck'
	@echo 'make checkers   clang and cross compilers, coccicheck and Sphinx for what the series touches'
	@echo 'make kernel     build/KERNEL/FLAVOUR/arch/*/boot/*: the kernel of the virtual machine'
	@echo 'make mail       build/KERNEL/mail/TOPIC for git send-email: TOPIC=10-null-attach, TREE=, SIGNOFF=yes'
	@echo 'make results    docs/results.md from what ran here'
	@echo 'make clean      removes build/, downloads and trees included'
	@echo
	@echo 'KERNEL=$(subst $() ,|,$(strip $(ALL)))     without it: all of them where a verb compares or tests, else $(ONE)'
	@echo 'FLAVOUR=patched|unpatched|debug|rt|kcsan|highmem|arm64|arm64-64k|arm|s390x'
	@echo '                where a virtual machine runs one kernel, and for setup'
	@echo 'EXPORTER=system_heap OPERATION=qbuf_other SIZE=3840x2160   for profile'
	@echo 'TREE=/your/linux    uses a copy of your tree in place of the Debian source'

setup:
	@scripts/setup

tree:
	@scripts/setup check tree
	@scripts/series import '$(ONE)'

export:
	@scripts/series export '$(ONE)'

check:
	@scripts/setup check check
	@scripts/check $(KERNELS)

kernel:
	@scripts/setup check kernel
	@scripts/kernel '$(ONE)' '$(FLAVOUR)'

# these two are what a stranger begins with: they, too, install what is missing
test: setup
	@scripts/test $(FLAVOUR) $(KERNELS)

demo: setup
	@scripts/demo '$(ONE)'

lint:
	@scripts/setup check lint
	@scripts/lint $(KERNELS)

checkers:
	@scripts/setup checkers
	@scripts/checkers $(KERNELS)

shell:
	@scripts/setup check shell
	@scripts/kernel '$(ONE)' '$(FLAVOUR)'
	@scripts/initrd '$(ONE)' '$(FLAVOUR)'
	@scripts/vm '$(ONE)' '$(FLAVOUR)' shell

compare:
	@scripts/setup check compare
	@scripts/compare $(KERNELS)

soak:
	@scripts/setup check soak
	@MODE=soak scripts/test $(FLAVOUR) $(KERNELS)

clients:
	@scripts/setup check clients
	@scripts/clients $(FLAVOUR) $(KERNELS)

kunit:
	@scripts/setup kunit
	@scripts/kunit $(KERNELS)

mail:
	@scripts/setup check mail
	@scripts/mail '$(ONE)' '$(TOPIC)'

results:
	@scripts/results

bench:
	@scripts/setup check bench
	@scripts/bench $(KERNELS)

profile:
	@scripts/setup check profile
	@scripts/profile '$(ONE)' '$(FLAVOUR)'

clean:
	@scripts/clean
