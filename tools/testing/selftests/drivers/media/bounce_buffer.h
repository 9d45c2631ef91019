/* SPDX-License-Identifier: GPL-2.0 */
/* The bounce buffers of the DMA API */

#ifndef BOUNCE_BUFFER_H
#define BOUNCE_BUFFER_H

#include <errno.h>
#include <sched.h>
#include <stdio.h>

#define BOUNCE_USED	"/sys/kernel/debug/swiotlb/io_tlb_used"
#define BOUNCE_SLOT	2048

/* How many bytes of bounce buffers are in use, or -errno. */
static inline long bounce_used(void)
{
	long slots = -EIO;
	FILE *file;

	file = fopen(BOUNCE_USED, "r");
	if (!file)
		return -errno;
	if (fscanf(file, "%ld", &slots) == 1)
		slots *= BOUNCE_SLOT;
	fclose(file);

	return slots;
}

/*
 * Each CPU takes bounce buffers from a place of its own. dma-contig wants those
 * of scattered pages to lie one behind the other.
 */
static inline void stay_on_cpu(struct __test_metadata *_metadata)
{
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(sched_getcpu(), &cpu);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(cpu), &cpu));
}

#endif /* BOUNCE_BUFFER_H */
