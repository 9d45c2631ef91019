// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA BUF Kernel Mapping Helpers
 */

#include <linux/cacheinfo.h>
#include <linux/dma-buf-vmap.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/scatterlist.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

/*
 * Pages that follow each other in physical memory, a run, are mapped by one
 * walk of the page tables. For runs that are shorter than this on average it is
 * cheaper to have vmap() map page by page.
 */
#define PAGES_PER_RUN	8

/*
 * How long the runs of an array are is estimated from as many of its pages. The
 * distance between these is odd: runs tend to have a length that is even.
 */
#define PAGES_SAMPLED	64

/* Is the direct map good enough for this run? */
static bool run_is_linear(struct page *page, unsigned long count, pgprot_t prot)
{
	unsigned long pfn = page_to_pfn(page), i;
	struct folio *folio = page_folio(page);

	/* There is no other mapping. */
	if (!IS_ENABLED(CONFIG_MMU))
		return true;

	/* Let an access beyond the end hit the guard page of a mapping. */
	if (IS_ENABLED(CONFIG_DMABUF_DEBUG) || IS_ENABLED(CONFIG_KASAN) ||
	    debug_pagealloc_enabled_static())
		return false;

	/* The caches of the direct map are not maintained for the CPU. */
	if (cpu_dcache_is_aliasing())
		return false;

	/* This also keeps out memory that was decrypted. */
	if (pgprot_val(prot) != pgprot_val(PAGE_KERNEL))
		return false;

	if (PageHighMem(pfn_to_page(pfn + count - 1)))
		return false;

	/*
	 * CONFIG_HARDENED_USERCOPY does not let a copy cross the border of a
	 * folio. It knows folios in the direct map, but not in vmalloc space.
	 */
	if (folio_test_large(folio))
		return !folio_is_zone_device(folio) &&
		       folio_page_idx(folio, page) + count <=
		       folio_nr_pages(folio);

	for (i = 0; i < count; i++) {
		page = pfn_to_page(pfn + i);
		if (PageCompound(page) || is_zone_device_page(page))
			return false;
	}

	return true;
}

static void *vmap_runs(struct scatterlist *sg, struct page **pages,
		       unsigned long count, pgprot_t prot)
{
	unsigned long addr, size;
	struct vm_struct *area;
	struct page *page;

	area = get_vm_area(count << PAGE_SHIFT, VM_MAP);
	if (!area)
		return NULL;

	addr = (unsigned long)area->addr;
	while (count) {
		if (sg) {
			page = sg_page(sg);
			size = sg->length;
			sg = sg_next(sg);
		} else {
			page = *pages;
			size = num_pages_contiguous(pages, count) << PAGE_SHIFT;
			pages += size >> PAGE_SHIFT;
		}
		if (fatal_signal_pending(current) ||
		    vmap_page_range(addr, addr + size, page_to_phys(page),
				    prot)) {
			free_vm_area(area);
			return NULL;
		}
		cond_resched();
		addr += size;
		count -= size >> PAGE_SHIFT;
	}

	return area->addr;
}

static void *vmap_sg(struct scatterlist *sg, unsigned long count, pgprot_t prot)
{
	unsigned long i = 0, j;
	struct page **pages;
	void *vaddr;

	pages = kvmalloc_objs(*pages, count, GFP_KERNEL | __GFP_NOWARN);
	if (!pages)
		return NULL;

	for (; i < count; sg = sg_next(sg))
		for (j = 0; j < sg->length >> PAGE_SHIFT; j++)
			pages[i++] = sg_page(sg) + j;

	vaddr = vmap(pages, count, VM_MAP, prot);
	kvfree(pages);

	return vaddr;
}

/* Maps what is in either @sg or @pages. */
static int vmap_any(struct scatterlist *sg, struct page **pages,
		    unsigned long count, unsigned long runs, pgprot_t prot,
		    struct iosys_map *map)
{
	struct page *page = sg ? sg_page(sg) : *pages;
	void *vaddr;

	if (runs == 1 && run_is_linear(page, count, prot)) {
		iosys_map_set_vaddr(map, page_address(page));
		return 0;
	}

	if (!IS_ENABLED(CONFIG_MMU))
		return -EOPNOTSUPP;

	/* A guard page follows. vmalloc would log the failure. */
	if (count >= min_t(unsigned long, VMALLOC_TOTAL >> PAGE_SHIFT, INT_MAX))
		return -ENOMEM;

	/*
	 * vmap() refuses more pages than the system has, which is possible if
	 * pages are listed repeatedly. KMSAN takes a range of physical
	 * addresses for I/O memory. Aliasing caches would be flushed per run.
	 */
	if (!IS_ENABLED(CONFIG_KMSAN) && !cpu_dcache_is_aliasing() &&
	    (runs <= count / PAGES_PER_RUN || count > totalram_pages()))
		vaddr = vmap_runs(sg, pages, count, prot);
	else if (sg)
		vaddr = vmap_sg(sg, count, prot);
	else
		vaddr = vmap(pages, count, VM_MAP, prot);
	if (!vaddr)
		return -ENOMEM;

	iosys_map_set_vaddr(map, vaddr);

	return 0;
}

/**
 * dma_buf_vmap_sgtable - Map the pages of an sg_table for the kernel
 * @sgt:	[in]	whole pages: the offset of each entry is 0, its length a
 *			multiple of PAGE_SIZE
 * @prot:	[in]	protection of the mapping, in most cases PAGE_KERNEL
 * @map:	[out]	the mapping, which is not in I/O memory
 *
 * For the &dma_buf_ops.vmap of exporters whose buffers are made of pages, and
 * for other mappings that are made once and used for long.
 *
 * If the pages follow each other in physical memory and a mapping of their own
 * would not differ, this returns their address in the direct map, so @map need
 * not be in vmalloc space. Pages that are not in the direct map any more must
 * not be mapped with PAGE_KERNEL.
 *
 * Context: Process context, may sleep. The pages must stay where they are until
 * dma_buf_vunmap_pages().
 *
 * Returns:
 *
 * 0 on success, or a negative error code:
 *
 * - -ENOMEM if there is no memory or no address space for the mapping.
 * - -EOPNOTSUPP if the pages do not follow each other and there is no MMU.
 */
int dma_buf_vmap_sgtable(struct sg_table *sgt, pgprot_t prot,
			 struct iosys_map *map)
{
	unsigned long count = 0;
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_sg(sgt, sg, i)
		count += sg->length >> PAGE_SHIFT;

	return vmap_any(sgt->sgl, NULL, count, sgt->orig_nents, prot, map);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_vmap_sgtable, "DMA_BUF");

/**
 * dma_buf_vmap_pages - Map an array of pages for the kernel
 * @pages:	[in]	pages to map
 * @count:	[in]	number of @pages, not 0
 * @prot:	[in]	protection of the mapping, in most cases PAGE_KERNEL
 * @map:	[out]	the mapping, which is not in I/O memory
 *
 * As dma_buf_vmap_sgtable(), for pages that are in an array.
 *
 * Context: Process context, may sleep. The pages must stay where they are until
 * dma_buf_vunmap_pages(), the array need not.
 *
 * Returns:
 *
 * As dma_buf_vmap_sgtable().
 */
int dma_buf_vmap_pages(struct page **pages, unsigned long count, pgprot_t prot,
		       struct iosys_map *map)
{
	unsigned long step = count / PAGES_SAMPLED | 1;
	unsigned long borders = 0, runs, i;

	/* Looking at each page takes a good part of the time to map it. */
	for (i = step; i < count && borders * step <= count / PAGES_PER_RUN;
	     i += step)
		if (pages[i] != pages[i - 1] + 1)
			borders++;

	if (!borders && num_pages_contiguous(pages, count) == count)
		runs = 1;
	else
		runs = max(borders * step, 2UL);

	return vmap_any(NULL, pages, count, runs, prot, map);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_vmap_pages, "DMA_BUF");

/**
 * dma_buf_vmap_contig - Map pages of one allocation for the kernel
 * @pages:	[in]	pages to map, which follow each other in physical memory
 *			and come from one allocation
 * @count:	[in]	number of @pages, not 0
 * @prot:	[in]	protection of the mapping, in most cases PAGE_KERNEL
 * @map:	[out]	the mapping, which is not in I/O memory
 *
 * As dma_buf_vmap_pages(), but trusts the caller instead of looking at each
 * page. If the direct map will do, the number of pages does not matter.
 *
 * Context: Process context, may sleep. The pages must stay where they are until
 * dma_buf_vunmap_pages(), the array need not.
 *
 * Returns:
 *
 * As dma_buf_vmap_sgtable().
 */
int dma_buf_vmap_contig(struct page **pages, unsigned long count, pgprot_t prot,
			struct iosys_map *map)
{
	/* If they are not folios, all pages are like the first one. */
	unsigned long checked = PageCompound(*pages) ? count : 1;

	if (run_is_linear(*pages, checked, prot) &&
	    !PageHighMem(pages[count - 1])) {
		iosys_map_set_vaddr(map, page_address(*pages));
		return 0;
	}

	return dma_buf_vmap_pages(pages, count, prot, map);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_vmap_contig, "DMA_BUF");

/**
 * dma_buf_vunmap_pages - Remove a mapping made by dma_buf_vmap_sgtable(),
 * dma_buf_vmap_pages() or dma_buf_vmap_contig()
 * @map:	[in]	the mapping, is cleared
 *
 * Context: Process context, may sleep.
 */
void dma_buf_vunmap_pages(struct iosys_map *map)
{
	if (is_vmalloc_addr(map->vaddr))
		vunmap(map->vaddr);
	iosys_map_clear(map);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_vunmap_pages, "DMA_BUF");
