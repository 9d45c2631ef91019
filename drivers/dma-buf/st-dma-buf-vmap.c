// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for kernel mappings of dma-bufs: the helper that maps pages, how
 * long a mapping is kept, what becomes of calls that fail or are wrong, and
 * what CONFIG_DMABUF_DEBUG finds wrong with a mapping.
 */

#include <kunit/test.h>
#include <kunit/visibility.h>
#include <linux/cacheinfo.h>
#include <linux/dma-buf.h>
#include <linux/dma-buf-vmap.h>
#include <linux/dma-resv.h>
#include <linux/highmem.h>
#include <linux/io.h>
#include <linux/iosys-map.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/vmalloc.h>

#include "dma-buf-internal.h"
#include "st-dma-buf-mock.h"

/* An exporter whose mapping is not kept. */
static const struct dma_buf_ops mock_ops = {
	.map_dma_buf = mock_map,
	.unmap_dma_buf = mock_unmap,
	.vmap = mock_vmap,
	.vunmap = mock_vunmap,
	.release = mock_release,
};

/* An exporter may be unable to map a buffer; that is no reason to warn. */
static void test_vmap_fails(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct iosys_map map = IOSYS_MAP_INIT_VADDR(mock);

	mock->vmap_error = -ENOMEM;
	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, -ENOMEM,
				dma_buf_vmap_unlocked(dmabuf, &map));
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 0);
	}
	KUNIT_EXPECT_TRUE(test, iosys_map_is_null(&map));
	KUNIT_EXPECT_FALSE(test, mock->map_was_set);

	/* The failure is not permanent. */
	mock->vmap_error = 0;
	KUNIT_EXPECT_EQ(test, 0, dma_buf_vmap_unlocked(dmabuf, &map));
	KUNIT_EXPECT_PTR_EQ(test, map.vaddr, mock->vaddr);
	dma_buf_vunmap_unlocked(dmabuf, &map);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);
}

/* An extra unmap does nothing. */
static void test_vunmap_twice(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct iosys_map map;

	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_unlocked(dmabuf, &map));
	dma_buf_vunmap_unlocked(dmabuf, &map);
	kunit_warning_suppress(test) {
		dma_buf_vunmap_unlocked(dmabuf, &map);
		EXPECT_WARNINGS(test, 1);
	}
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);

	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_unlocked(dmabuf, &map));
	KUNIT_EXPECT_EQ(test, mock->vmapped, 2);
	dma_buf_vunmap_unlocked(dmabuf, &map);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 2);
}

/* An unmap with another map leaves the mapping alone. */
static void test_vunmap_other_map(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct iosys_map map, other;

	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_unlocked(dmabuf, &map));
	iosys_map_set_vaddr_iomem(&other, (void __iomem *)map.vaddr);
	kunit_warning_suppress(test) {
		dma_buf_vunmap_unlocked(dmabuf, &other);
		EXPECT_WARNINGS(test, 1);
	}
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 0);

	dma_buf_vunmap_unlocked(dmabuf, &map);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);
}

/* A leaked mapping is unmapped when the buffer is released. */
static void test_release_mapped(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct iosys_map map;

	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_unlocked(dmabuf, &map));
	kunit_warning_suppress(test) {
		kunit_release_action(test, mock_put, dmabuf);
		EXPECT_WARNINGS(test, 1);
	}
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);
	KUNIT_EXPECT_EQ(test, mock->released, 1);
}

/* An exporter has to return either an address or an error. */
static void test_vmap_nothing(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct iosys_map map;

	mock->vaddr = NULL;
	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, -EINVAL,
				dma_buf_vmap_unlocked(dmabuf, &map));
		KUNIT_EXPECT_EQ(test, -EINVAL,
				dma_buf_vmap_unlocked(dmabuf, &map));
		EXPECT_WARNINGS(test, 2);
	}
	KUNIT_EXPECT_TRUE(test, iosys_map_is_null(&map));
}

static struct kunit_case dma_buf_vmap_misuse_cases[] = {
	KUNIT_CASE(test_vmap_fails),
	KUNIT_CASE(test_vunmap_twice),
	KUNIT_CASE(test_vunmap_other_map),
	KUNIT_CASE(test_release_mapped),
	KUNIT_CASE(test_vmap_nothing),
	{}
};

/* Bugs that only drivers can have. Without the fixes they are BUG()s. */
static struct kunit_suite dma_buf_vmap_misuse_test_suite = {
	.name = "dma-buf-vmap-misuse",
	.test_cases = dma_buf_vmap_misuse_cases,
};

#define CHUNKS		4
#define CHUNK_ORDER	4
#define CHUNK_PAGES	16
#define PAGES		(CHUNKS * CHUNK_PAGES)

struct chunks {
	struct page *chunk[CHUNKS];
	struct page *pages[PAGES];
	struct sg_table sgt;
};

static void free_chunks(void *data)
{
	struct chunks *c = data;
	int i;

	sg_free_table(&c->sgt);
	for (i = 0; i < CHUNKS; i++)
		if (c->chunk[i])
			__free_pages(c->chunk[i], CHUNK_ORDER);
}

/* A buffer like those of the system heap. Each page begins with its number. */
static struct chunks *alloc_chunks_from(struct kunit *test, gfp_t gfp)
{
	struct scatterlist *sg;
	struct chunks *c;
	int i, j, number = 0;

	c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, c);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, free_chunks, c));
	KUNIT_ASSERT_EQ(test, 0,
			sg_alloc_table(&c->sgt, CHUNKS, GFP_KERNEL));

	for_each_sgtable_sg(&c->sgt, sg, i) {
		c->chunk[i] = alloc_pages(gfp | __GFP_COMP, CHUNK_ORDER);
		KUNIT_ASSERT_NOT_NULL(test, c->chunk[i]);
		sg_set_page(sg, c->chunk[i], PAGE_SIZE << CHUNK_ORDER, 0);
		for (j = 0; j < CHUNK_PAGES; j++, number++) {
			c->pages[number] = c->chunk[i] + j;
			memcpy_to_page(c->pages[number], 0, (char *)&number,
				       sizeof(number));
		}
	}

	return c;
}

/* The same, in the direct map. */
static struct chunks *alloc_chunks(struct kunit *test)
{
	return alloc_chunks_from(test, GFP_KERNEL);
}

static void expect_pages(struct kunit *test, struct iosys_map *map, int first,
			 int step, int count)
{
	int i;

	KUNIT_EXPECT_FALSE(test, map->is_iomem);
	for (i = 0; i < count; i++)
		KUNIT_EXPECT_EQ(test, *(int *)(map->vaddr + i * PAGE_SIZE),
				first + i * step);
}

static void unmap(struct kunit *test, struct iosys_map *map)
{
	dma_buf_vunmap_pages(map);
	KUNIT_EXPECT_TRUE(test, iosys_map_is_null(map));
}

static void need_mmu(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_MMU))
		kunit_skip(test, "needs an MMU");
}

/* May the address be in the direct map? Not where it would hide bugs. */
static bool linear_allowed(void)
{
	return !IS_ENABLED(CONFIG_MMU) ||
	       !(IS_ENABLED(CONFIG_DMABUF_DEBUG) || IS_ENABLED(CONFIG_KASAN) ||
		 debug_pagealloc_enabled() || cpu_dcache_is_aliasing());
}

/* Chunks are mapped one behind the other. */
static void test_sgtable(struct kunit *test)
{
	struct chunks *c = alloc_chunks(test);
	struct iosys_map map;

	need_mmu(test);
	KUNIT_ASSERT_EQ(test, 0,
			dma_buf_vmap_sgtable(&c->sgt, PAGE_KERNEL, &map));
	KUNIT_EXPECT_TRUE(test, is_vmalloc_addr(map.vaddr));
	expect_pages(test, &map, 0, 1, PAGES);
	unmap(test, &map);
}

/* So are those of an array of pages. */
static void test_pages(struct kunit *test)
{
	struct chunks *c = alloc_chunks(test);
	struct iosys_map map;

	need_mmu(test);
	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_pages(c->pages, PAGES,
						    PAGE_KERNEL, &map));
	expect_pages(test, &map, 0, 1, PAGES);
	unmap(test, &map);
}

/* Pages in any order: here no page is followed by its successor. */
static void test_single_pages(struct kunit *test)
{
	struct chunks *c = alloc_chunks(test);
	struct page *pages[PAGES];
	struct scatterlist *sg;
	struct iosys_map map;
	struct sg_table sgt;
	int i;

	need_mmu(test);
	for (i = 0; i < PAGES; i++)
		pages[i] = c->pages[PAGES - 1 - i];

	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_pages(pages, PAGES, PAGE_KERNEL,
						    &map));
	expect_pages(test, &map, PAGES - 1, -1, PAGES);
	unmap(test, &map);

	KUNIT_ASSERT_EQ(test, 0, sg_alloc_table(&sgt, PAGES, GFP_KERNEL));
	for_each_sgtable_sg(&sgt, sg, i)
		sg_set_page(sg, pages[i], PAGE_SIZE, 0);
	KUNIT_EXPECT_EQ(test, 0,
			dma_buf_vmap_sgtable(&sgt, PAGE_KERNEL, &map));
	sg_free_table(&sgt);
	if (!iosys_map_is_null(&map))
		expect_pages(test, &map, PAGES - 1, -1, PAGES);
	unmap(test, &map);
}

#define LARGE_ORDER	8
#define LARGE_PAGES	256

static void free_large(void *data)
{
	__free_pages(data, LARGE_ORDER);
}

/* What is contiguous where the helper looks may still have a gap elsewhere. */
static void test_gap(struct kunit *test)
{
	struct page **pages, *page;
	struct iosys_map map;
	int i;

	need_mmu(test);
	pages = kunit_kmalloc_array(test, LARGE_PAGES, sizeof(*pages),
				    GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pages);
	page = alloc_pages(GFP_KERNEL | __GFP_COMP | __GFP_NOWARN, LARGE_ORDER);
	if (!page)
		kunit_skip(test, "no large page");
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, free_large, page));

	for (i = 0; i < LARGE_PAGES; i++) {
		pages[i] = page + i;
		*(int *)page_address(page + i) = i;
	}
	pages[2] = page + 9;
	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_pages(pages, LARGE_PAGES,
						    PAGE_KERNEL, &map));
	expect_pages(test, &map, 0, 1, 2);
	KUNIT_EXPECT_EQ(test, *(int *)(map.vaddr + 2 * PAGE_SIZE), 9);
	for (i = 3; i < LARGE_PAGES; i++)
		KUNIT_EXPECT_EQ(test, *(int *)(map.vaddr + i * PAGE_SIZE), i);
	unmap(test, &map);
}

/* Part of one folio has an address in the direct map, wherever it starts. */
static void test_linear(struct kunit *test)
{
	struct chunks *c = alloc_chunks(test);
	struct iosys_map map;

	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_pages(c->pages + 3, 5,
						    PAGE_KERNEL, &map));
	KUNIT_EXPECT_EQ(test, map.vaddr == page_address(c->pages[3]),
			linear_allowed());
	expect_pages(test, &map, 3, 1, 5);
	unmap(test, &map);
}

/* High memory has no address in the direct map, though it is contiguous. */
static void test_highmem(struct kunit *test)
{
	struct chunks *c = alloc_chunks_from(test, GFP_HIGHUSER);
	struct iosys_map map;
	struct sg_table sgt;

	if (!PageHighMem(c->chunk[0]))
		kunit_skip(test, "no high memory");

	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_pages(c->pages, CHUNK_PAGES,
						    PAGE_KERNEL, &map));
	KUNIT_EXPECT_TRUE(test, is_vmalloc_addr(map.vaddr));
	expect_pages(test, &map, 0, 1, CHUNK_PAGES);
	unmap(test, &map);

	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_contig(c->pages, CHUNK_PAGES,
						     PAGE_KERNEL, &map));
	KUNIT_EXPECT_TRUE(test, is_vmalloc_addr(map.vaddr));
	expect_pages(test, &map, 0, 1, CHUNK_PAGES);
	unmap(test, &map);

	KUNIT_ASSERT_EQ(test, 0, sg_alloc_table(&sgt, 1, GFP_KERNEL));
	sg_set_page(sgt.sgl, c->chunk[0], PAGE_SIZE << CHUNK_ORDER, 0);
	KUNIT_EXPECT_EQ(test, 0,
			dma_buf_vmap_sgtable(&sgt, PAGE_KERNEL, &map));
	sg_free_table(&sgt);
	KUNIT_EXPECT_TRUE(test, is_vmalloc_addr(map.vaddr));
	expect_pages(test, &map, 0, 1, CHUNK_PAGES);
	unmap(test, &map);

	KUNIT_ASSERT_EQ(test, 0,
			dma_buf_vmap_sgtable(&c->sgt, PAGE_KERNEL, &map));
	expect_pages(test, &map, 0, 1, PAGES);
	unmap(test, &map);
}

/* Another protection requires a mapping of its own. */
static void test_prot(struct kunit *test)
{
	struct chunks *c = alloc_chunks(test);
	struct iosys_map map;

	need_mmu(test);
	if (pgprot_val(PAGE_KERNEL_RO) == pgprot_val(PAGE_KERNEL))
		kunit_skip(test, "there is no other protection");
	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_pages(c->pages, CHUNK_PAGES,
						    PAGE_KERNEL_RO, &map));
	KUNIT_EXPECT_TRUE(test, is_vmalloc_addr(map.vaddr));
	expect_pages(test, &map, 0, 1, CHUNK_PAGES);
	unmap(test, &map);
}

struct folios {
	struct page *folio[64];
};

static void free_folios(void *data)
{
	struct folios *f = data;
	int i;

	for (i = 0; i < ARRAY_SIZE(f->folio); i++)
		if (f->folio[i])
			__free_pages(f->folio[i], CHUNK_ORDER);
}

/* Adjacent folios must not be mistaken for one. */
static void test_folios(struct kunit *test)
{
	struct page *pages[CHUNK_PAGES];
	unsigned long pfn = 0;
	struct iosys_map map;
	struct folios *f;
	int i, j;

	need_mmu(test);
	f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, free_folios, f));
	/* among so many, two are likely to be adjacent */
	for (i = 0; i < ARRAY_SIZE(f->folio); i++) {
		f->folio[i] = alloc_pages(GFP_KERNEL | __GFP_COMP, CHUNK_ORDER);
		KUNIT_ASSERT_NOT_NULL(test, f->folio[i]);
		for (j = 0; j < i; j++)
			if (page_to_pfn(f->folio[i]) ==
			    page_to_pfn(f->folio[j]) + CHUNK_PAGES)
				pfn = page_to_pfn(f->folio[i]);
	}
	if (!pfn)
		kunit_skip(test, "no folios that follow each other");

	for (i = 0; i < CHUNK_PAGES; i++)
		pages[i] = pfn_to_page(pfn - 1 + i);
	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_pages(pages, CHUNK_PAGES,
						    PAGE_KERNEL, &map));
	KUNIT_EXPECT_TRUE(test, is_vmalloc_addr(map.vaddr));
	unmap(test, &map);
}

static struct kunit_case dma_buf_vmap_pages_cases[] = {
	KUNIT_CASE(test_sgtable),
	KUNIT_CASE(test_pages),
	KUNIT_CASE(test_single_pages),
	KUNIT_CASE(test_gap),
	KUNIT_CASE(test_linear),
	KUNIT_CASE(test_highmem),
	KUNIT_CASE(test_prot),
	KUNIT_CASE(test_folios),
	{}
};

static struct kunit_suite dma_buf_vmap_pages_test_suite = {
	.name = "dma-buf-vmap-pages",
	.test_cases = dma_buf_vmap_pages_cases,
};

/* An exporter whose storage is permanent. */
static const struct dma_buf_ops mock_managed_ops = {
	.map_dma_buf = mock_map,
	.unmap_dma_buf = mock_unmap,
	.vmap = mock_vmap,
	.vunmap = mock_vunmap,
	.keep_vmap = true,
	.release = mock_release,
};

KUNIT_DEFINE_ACTION_WRAPPER(vfree_action, vfree, const void *);

/* Makes the exporter map two pages of vmalloc space. */
static void mock_vmalloc(struct kunit *test, struct mock_exporter *mock)
{
	mock->vaddr = vmalloc(2 * PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, mock->vaddr);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, vfree_action,
							   mock->vaddr));
}

/* Is a mapping in vmalloc space kept? */
static bool idle_allowed(void)
{
	return IS_ENABLED(CONFIG_64BIT) && IS_ENABLED(CONFIG_MMU) &&
	       !cpu_dcache_is_aliasing();
}

static void need_idle(struct kunit *test)
{
	if (!idle_allowed())
		kunit_skip(test, "mappings in vmalloc space are not kept here");
}

static void map_and_unmap(struct kunit *test, struct dma_buf *dmabuf)
{
	struct mock_exporter *mock = dmabuf->priv;
	struct iosys_map map;

	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_unlocked(dmabuf, &map));
	KUNIT_EXPECT_PTR_EQ(test, map.vaddr, mock->vaddr);
	dma_buf_vunmap_unlocked(dmabuf, &map);
}

/* What vmalloc does when it finds no address space */
static void purge(void)
{
	unsigned long freed = 0;

	dma_buf_purge_vmaps(NULL, 0, &freed);
}

/* The next user gets what the last one had; the exporter does not notice. */
static void test_kept(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_managed_ops);
	struct mock_exporter *mock = dmabuf->priv;

	need_mmu(test);
	mock_vmalloc(test, mock);
	map_and_unmap(test, dmabuf);
	map_and_unmap(test, dmabuf);
	KUNIT_EXPECT_EQ(test, mock->vmapped, idle_allowed() ? 1 : 2);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, idle_allowed() ? 0 : 2);
	KUNIT_EXPECT_EQ(test, dmabuf->vmapping_counter, 0);
}

/* Without the flag, a mapping is removed at once. */
static void test_not_kept(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;

	map_and_unmap(test, dmabuf);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);
	map_and_unmap(test, dmabuf);
	KUNIT_EXPECT_EQ(test, mock->vmapped, 2);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 2);
}

/* A kept mapping is removed before the memory is released. */
static void test_kept_release(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_managed_ops);
	struct mock_exporter *mock = dmabuf->priv;

	map_and_unmap(test, dmabuf);
	kunit_release_action(test, mock_put, dmabuf);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);
	KUNIT_EXPECT_EQ(test, mock->released, 1);
	KUNIT_EXPECT_FALSE(test, mock->released_mapped);
}

/* Nor does it stay on the list of mappings that can be given back. */
static void test_kept_release_list(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_managed_ops);
	struct mock_exporter *mock = dmabuf->priv;

	mock_vmalloc(test, mock);
	map_and_unmap(test, dmabuf);
	kunit_release_action(test, mock_put, dmabuf);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);
	purge();
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);
}

/* It is given back when address space gets short, and made again on demand. */
static void test_purge(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_managed_ops);
	struct mock_exporter *mock = dmabuf->priv;
	unsigned long freed = 0;

	need_idle(test);
	mock_vmalloc(test, mock);
	map_and_unmap(test, dmabuf);
	dma_buf_purge_vmaps(NULL, 0, &freed);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);
	KUNIT_EXPECT_GE(test, freed, 1);

	purge();
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);

	map_and_unmap(test, dmabuf);
	KUNIT_EXPECT_EQ(test, mock->vmapped, 2);
}

/* A mapping in use is not given back. */
static void test_purge_used(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_managed_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct iosys_map map;

	need_idle(test);
	mock_vmalloc(test, mock);
	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_unlocked(dmabuf, &map));
	purge();
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 0);
	dma_buf_vunmap_unlocked(dmabuf, &map);

	purge();
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);
}

/* The task that needs address space may be mapping this very buffer. */
static void test_purge_locked(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_managed_ops);
	struct mock_exporter *mock = dmabuf->priv;

	need_idle(test);
	mock_vmalloc(test, mock);
	map_and_unmap(test, dmabuf);

	dma_resv_lock(dmabuf->resv, NULL);
	purge();
	dma_resv_unlock(dmabuf->resv);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 0);
}

/* In the direct map there is nothing to give back. */
static void test_purge_linear(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_managed_ops);
	struct mock_exporter *mock = dmabuf->priv;

	map_and_unmap(test, dmabuf);
	purge();
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 0);
	map_and_unmap(test, dmabuf);
	KUNIT_EXPECT_EQ(test, mock->vmapped, 1);
}

/* __vmalloc_node_range() is not available to modules. */
#if defined(CONFIG_MMU) && !defined(MODULE)
static int exhaust_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct mock_exporter *mock = dmabuf->priv;

	mock->vaddr = vmalloc(2 * PAGE_SIZE);
	if (!mock->vaddr)
		return -ENOMEM;

	return mock_vmap(dmabuf, map);
}

static void exhaust_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	mock_vunmap(dmabuf, map);
	vfree(map->vaddr);
}

/* An exporter that allocates and frees its mapping */
static const struct dma_buf_ops exhaust_ops = {
	.map_dma_buf = mock_map,
	.unmap_dma_buf = mock_unmap,
	.vmap = exhaust_vmap,
	.vunmap = exhaust_vunmap,
	.keep_vmap = true,
	.release = mock_release,
};

/* Asks for the address space from @start to @end, and for nothing else. */
static void *vmalloc_there(unsigned long start, unsigned long end)
{
	return __vmalloc_node_range(end - start - PAGE_SIZE, 1, start, end,
				    GFP_KERNEL | __GFP_NOWARN, PAGE_KERNEL, 0,
				    NUMA_NO_NODE, __builtin_return_address(0));
}

/*
 * Filling all of vmalloc space would make others fail meanwhile. Ask for
 * exactly the address space of a mapping instead, as if there was no other.
 */
static void test_exhausted(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &exhaust_ops);
	struct mock_exporter *mock = dmabuf->priv;
	unsigned long start, end;
	struct vm_struct *area;
	struct iosys_map map;
	void *vaddr;

	need_idle(test);
	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_unlocked(dmabuf, &map));
	area = find_vm_area(map.vaddr);
	start = (unsigned long)map.vaddr;
	end = start + (area ? area->size : 0);

	/* in use */
	vaddr = vmalloc_there(start, end);
	KUNIT_EXPECT_NULL(test, vaddr);
	vfree(vaddr);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 0);
	dma_buf_vunmap_unlocked(dmabuf, &map);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 0);

	/* kept */
	vaddr = vmalloc_there(start, end);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);
	KUNIT_EXPECT_EQ(test, (unsigned long)vaddr, start);

	/* the next user gets another one */
	KUNIT_EXPECT_EQ(test, 0, dma_buf_vmap_unlocked(dmabuf, &map));
	KUNIT_EXPECT_EQ(test, mock->vmapped, 2);
	if (iosys_map_is_set(&map))
		dma_buf_vunmap_unlocked(dmabuf, &map);
	vfree(vaddr);
}
#endif

static struct kunit_case dma_buf_vmap_kept_cases[] = {
	KUNIT_CASE(test_kept),
	KUNIT_CASE(test_not_kept),
	KUNIT_CASE(test_kept_release),
	KUNIT_CASE(test_kept_release_list),
	KUNIT_CASE(test_purge),
	KUNIT_CASE(test_purge_used),
	KUNIT_CASE(test_purge_locked),
	KUNIT_CASE(test_purge_linear),
#if defined(CONFIG_MMU) && !defined(MODULE)
	KUNIT_CASE(test_exhausted),
#endif
	{}
};

static struct kunit_suite dma_buf_vmap_kept_test_suite = {
	.name = "dma-buf-vmap-kept",
	.test_cases = dma_buf_vmap_kept_cases,
};

kunit_test_suites(&dma_buf_vmap_misuse_test_suite,
		  &dma_buf_vmap_pages_test_suite,
		  &dma_buf_vmap_kept_test_suite);

#ifdef CONFIG_DMABUF_DEBUG
static int debug_init(struct kunit *test)
{
	need_mmu(test);

	return 0;
}

/* A wrong mapping is unmapped again and does not reach the importer. */
static void expect_refused(struct kunit *test, struct dma_buf *dmabuf)
{
	struct mock_exporter *mock = dmabuf->priv;
	struct iosys_map map;

	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, -EINVAL,
				dma_buf_vmap_unlocked(dmabuf, &map));
		EXPECT_WARNINGS(test, 1);
	}
	KUNIT_EXPECT_TRUE(test, iosys_map_is_null(&map));
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);
	KUNIT_EXPECT_EQ(test, dmabuf->vmapping_counter, 0);
}

/* All of a buffer is mapped: nothing to complain about. */
static void test_debug_whole(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export_size(test, &mock_ops,
						  2 * PAGE_SIZE);
	struct mock_exporter *mock = dmabuf->priv;

	mock_vmalloc(test, mock);
	map_and_unmap(test, dmabuf);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);
}

/* The mapping ends before the buffer does. */
static void test_debug_short(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export_size(test, &mock_ops,
						  3 * PAGE_SIZE);

	mock_vmalloc(test, dmabuf->priv);
	expect_refused(test, dmabuf);
}

/* The mapped area is large enough, but the address is not its start. */
static void test_debug_offset(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export_size(test, &mock_ops,
						  2 * PAGE_SIZE);
	struct mock_exporter *mock = dmabuf->priv;

	mock_vmalloc(test, mock);
	mock->vaddr += PAGE_SIZE;
	expect_refused(test, dmabuf);
}

/* The mapping is large enough, but it starts in the middle of a page. */
static void test_debug_misaligned(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;

	mock_vmalloc(test, mock);
	mock->vaddr += 16;
	expect_refused(test, dmabuf);
}

/* Neither may an address in the direct map be misaligned. */
static void test_debug_misaligned_linear(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;

	mock->vaddr += 16;
	expect_refused(test, dmabuf);
}

/* vmap_page_range() is not exported to modules, and needs an MMU. */
#if defined(CONFIG_MMU) && !defined(MODULE)
KUNIT_DEFINE_ACTION_WRAPPER(free_area, free_vm_area, struct vm_struct *);

/* There is a page missing in the middle. */
static void test_debug_hole(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export_size(test, &mock_ops,
						  3 * PAGE_SIZE);
	struct mock_exporter *mock = dmabuf->priv;
	phys_addr_t phys = virt_to_phys(mock->vaddr);
	struct vm_struct *area;
	unsigned long addr;

	area = get_vm_area(3 * PAGE_SIZE, VM_MAP);
	KUNIT_ASSERT_NOT_NULL(test, area);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, free_area, area));
	addr = (unsigned long)area->addr;
	KUNIT_ASSERT_EQ(test, 0, vmap_page_range(addr, addr + PAGE_SIZE, phys,
						 PAGE_KERNEL));
	addr += 2 * PAGE_SIZE;
	KUNIT_ASSERT_EQ(test, 0, vmap_page_range(addr, addr + PAGE_SIZE, phys,
						 PAGE_KERNEL));
	mock->vaddr = area->addr;
	expect_refused(test, dmabuf);
}
#endif

static struct kunit_case dma_buf_vmap_debug_cases[] = {
	KUNIT_CASE(test_debug_whole),
	KUNIT_CASE(test_debug_short),
	KUNIT_CASE(test_debug_offset),
	KUNIT_CASE(test_debug_misaligned),
	KUNIT_CASE(test_debug_misaligned_linear),
#if defined(CONFIG_MMU) && !defined(MODULE)
	KUNIT_CASE(test_debug_hole),
#endif
	{}
};

static struct kunit_suite dma_buf_vmap_debug_test_suite = {
	.name = "dma-buf-vmap-debug",
	.init = debug_init,
	.test_cases = dma_buf_vmap_debug_cases,
};

kunit_test_suite(dma_buf_vmap_debug_test_suite);
#endif

MODULE_DESCRIPTION("KUnit tests for kernel mappings of DMA-BUFs");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
