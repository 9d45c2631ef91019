/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DMA BUF Kernel Mapping Helpers
 */
#ifndef __DMA_BUF_VMAP_H__
#define __DMA_BUF_VMAP_H__
#include <linux/iosys-map.h>
#include <linux/pgtable.h>

struct page;
struct sg_table;

int dma_buf_vmap_sgtable(struct sg_table *sgt, pgprot_t prot,
			 struct iosys_map *map);
int dma_buf_vmap_pages(struct page **pages, unsigned long count, pgprot_t prot,
		       struct iosys_map *map);
int dma_buf_vmap_contig(struct page **pages, unsigned long count, pgprot_t prot,
			struct iosys_map *map);
void dma_buf_vunmap_pages(struct iosys_map *map);
#endif
