// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin of QEMU that counts the instructions which the virtual machine
 * executes between the marks of guest/bench.c, by the address of the block of
 * code that they are in. For scripts/profile:
 *
 *	-plugin profile.so,out=FILE
 *
 * writes a line "calls NUMBER", and lines "ADDRESS INSTRUCTIONS".
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What is used of QEMU's interface for plugins, version 1; Debian 12 does not
 * have the header in a package.
 */
struct qemu_plugin_tb;
struct qemu_plugin_insn;

extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
		void (*call)(uint64_t id, struct qemu_plugin_tb *tb));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
		void (*call)(unsigned int cpu, void *data), int flags,
		void *data);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *i,
		void (*call)(unsigned int cpu, void *data), int flags,
		void *data);
extern void qemu_plugin_register_atexit_cb(uint64_t id,
		void (*call)(uint64_t id, void *data), void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
extern struct qemu_plugin_insn *
qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);

int qemu_plugin_version = 1;

/* A block is translated more than once; scripts/profile adds that up. */
struct block {
	struct block *next;
	uint64_t address;
	uint64_t length;
	uint64_t executed;
};

static struct block *blocks;
static bool counting;
static uint64_t calls;
static const char *out;

static void block_executes(unsigned int cpu, void *data)
{
	struct block *block = data;

	(void)cpu;
	if (counting)
		block->executed++;
}

static void mark_executes(unsigned int cpu, void *data)
{
	(void)cpu;
	counting = data;
	calls += counting;
}

static void block_is_translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	/* nopl 0x6f627564(%rax), and the same with 0x6f627565 */
	static const uint8_t mark[] = { 0x0f, 0x1f, 0x80, 0x64, 0x75, 0x62, 0x6f };
	struct block *block = calloc(1, sizeof(*block));
	size_t i;

	(void)id;
	if (!block) {
		fputs("profile: no memory\n", stderr);
		exit(1);
	}
	block->address = qemu_plugin_tb_vaddr(tb);
	block->length = qemu_plugin_tb_n_insns(tb);
	block->next = blocks;
	blocks = block;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, block_executes, 0, block);

	for (i = 0; i < block->length; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		const uint8_t *code = qemu_plugin_insn_data(insn);

		if (qemu_plugin_insn_size(insn) != sizeof(mark) ||
		    memcmp(code, mark, 3) || memcmp(code + 4, mark + 4, 3))
			continue;
		if (code[3] == mark[3])
			qemu_plugin_register_vcpu_insn_exec_cb(insn,
					mark_executes, 0, &counting);
		else if (code[3] == mark[3] + 1)
			qemu_plugin_register_vcpu_insn_exec_cb(insn,
					mark_executes, 0, NULL);
	}
}

static void write_counts(uint64_t id, void *data)
{
	FILE *file = fopen(out, "w");
	struct block *block;

	(void)id;
	(void)data;
	if (!file) {
		perror(out);
		return;
	}
	fprintf(file, "calls %" PRIu64 "\n", calls);
	for (block = blocks; block; block = block->next)
		if (block->executed)
			fprintf(file, "%016" PRIx64 " %" PRIu64 "\n",
				block->address,
				block->executed * block->length);
	fclose(file);
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4))
		return -1;
	out = strdup(argv[0] + 4);
	qemu_plugin_register_vcpu_tb_trans_cb(id, block_is_translated);
	qemu_plugin_register_atexit_cb(id, write_counts, NULL);

	return 0;
}
