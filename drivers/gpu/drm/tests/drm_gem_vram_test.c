// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit test suite for GEM objects of the VRAM helpers: an object must stay in
 * place while an importer has it mapped
 */

#include <linux/bits.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/iosys-map.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include <kunit/test.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_fourcc.h>
#include <drm/drm_framebuffer.h>
#include <drm/drm_gem_vram_helper.h>
#include <drm/drm_kunit_helpers.h>
#include <drm/drm_plane.h>
#include <drm/drm_prime.h>

#include <drm/ttm/ttm_tt.h>

MODULE_IMPORT_NS("DMA_BUF");

#define TEST_SIZE	SZ_64K
#define TEST_BYTE	0xae

/* No machine has memory there, so moving to it by mistake does no harm. */
#define VRAM_BASE	BIT_ULL(60)
#define VRAM_SIZE	SZ_1M

struct vram_test {
	struct drm_gem_vram_object *gbo;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct iosys_map map;
};

DEFINE_DRM_GEM_FOPS(vram_test_fops);

static const struct drm_driver vram_test_driver = {
	.driver_features = DRIVER_GEM,
	.fops = &vram_test_fops,
};

static void vram_test_map(struct kunit *test)
{
	struct vram_test *priv = test->priv;

	KUNIT_ASSERT_EQ(test, 0,
			dma_buf_vmap_unlocked(priv->dmabuf, &priv->map));
	KUNIT_ASSERT_FALSE(test, priv->map.is_iomem);
}

static void vram_test_unmap(struct kunit *test)
{
	struct vram_test *priv = test->priv;

	dma_buf_vunmap_unlocked(priv->dmabuf, &priv->map);
	iosys_map_clear(&priv->map);
}

/* Makes TTM swap out, as if memory was short. */
static int vram_test_swap_out(struct kunit *test)
{
	struct vram_test *priv = test->priv;
	struct ttm_operation_ctx ctx = { };

	return ttm_device_swapout(priv->gbo->bo.bdev, &ctx, GFP_KERNEL);
}

/* Is the mapping one of the pages that the object has? */
static void vram_test_expect_mapped(struct kunit *test)
{
	struct vram_test *priv = test->priv;
	struct ttm_tt *tt = priv->gbo->bo.ttm;
	void *vaddr = priv->map.vaddr;
	pgoff_t i;

	KUNIT_ASSERT_TRUE(test, ttm_tt_is_populated(tt));
	for (i = 0; i < tt->num_pages; i++)
		KUNIT_ASSERT_PTR_EQ(test, tt->pages[i],
				    vmalloc_to_page(vaddr + i * PAGE_SIZE));
	KUNIT_EXPECT_NULL(test, memchr_inv(vaddr, TEST_BYTE, TEST_SIZE));
}

/* An object is not swapped out while an importer has it mapped. */
static void drm_gem_vram_test_swap_mapped(struct kunit *test)
{
	struct vram_test *priv = test->priv;

	vram_test_map(test);
	memset(priv->map.vaddr, TEST_BYTE, TEST_SIZE);

	KUNIT_EXPECT_LE(test, vram_test_swap_out(test), 0);
	vram_test_expect_mapped(test);
	vram_test_unmap(test);
}

/* It is swapped out later, and the next user gets a mapping of new pages. */
static void drm_gem_vram_test_swap_unmapped(struct kunit *test)
{
	struct vram_test *priv = test->priv;

	vram_test_map(test);
	memset(priv->map.vaddr, TEST_BYTE, TEST_SIZE);
	vram_test_unmap(test);

	KUNIT_EXPECT_EQ(test, vram_test_swap_out(test), TEST_SIZE / PAGE_SIZE);
	KUNIT_EXPECT_FALSE(test, ttm_tt_is_populated(priv->gbo->bo.ttm));

	vram_test_map(test);
	vram_test_expect_mapped(test);
	vram_test_unmap(test);
}

/* Nor can it be shown, since it would have to move to video memory. */
static void drm_gem_vram_test_scanout_mapped(struct kunit *test)
{
	struct vram_test *priv = test->priv;
	struct drm_framebuffer fb = {
		.dev = priv->gbo->bo.base.dev,
		.format = drm_format_info(DRM_FORMAT_XRGB8888),
		.obj = { &priv->gbo->bo.base },
	};
	struct drm_plane_state state = { .fb = &fb };

	vram_test_map(test);
	memset(priv->map.vaddr, TEST_BYTE, TEST_SIZE);

	KUNIT_EXPECT_EQ(test, -ENOSPC,
			drm_gem_vram_plane_helper_prepare_fb(NULL, &state));
	vram_test_expect_mapped(test);
	vram_test_unmap(test);
}

static int drm_gem_vram_test_init(struct kunit *test)
{
	struct drm_device *drm;
	struct vram_test *priv;
	struct device *dev;

	priv = kunit_kzalloc(test, sizeof(*priv), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, priv);

	dev = drm_kunit_helper_alloc_device(test);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	KUNIT_ASSERT_EQ(test, 0, dma_set_mask(dev, DMA_BIT_MASK(64)));

	drm = __drm_kunit_helper_alloc_drm_device_with_driver
		(test, dev, sizeof(*drm), 0, &vram_test_driver);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, drm);
	KUNIT_ASSERT_EQ(test, 0,
			drmm_vram_helper_init(drm, VRAM_BASE, VRAM_SIZE));

	priv->gbo = drm_gem_vram_create(drm, TEST_SIZE, 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, priv->gbo);

	/* the dma-buf holds its own reference */
	priv->dmabuf = drm_gem_prime_export(&priv->gbo->bo.base, O_RDWR);
	drm_gem_object_put(&priv->gbo->bo.base);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, priv->dmabuf);
	test->priv = priv;

	priv->attach = dma_buf_attach(priv->dmabuf, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, priv->attach);

	return 0;
}

static void drm_gem_vram_test_exit(struct kunit *test)
{
	struct vram_test *priv = test->priv;

	if (!priv)
		return;

	if (iosys_map_is_set(&priv->map))
		vram_test_unmap(test);
	if (!IS_ERR_OR_NULL(priv->attach))
		dma_buf_detach(priv->dmabuf, priv->attach);
	/* unlike dma_buf_put(), releases it at once */
	__fput_sync(priv->dmabuf->file);
}

static struct kunit_case drm_gem_vram_test_cases[] = {
	KUNIT_CASE(drm_gem_vram_test_swap_mapped),
	KUNIT_CASE(drm_gem_vram_test_swap_unmapped),
	KUNIT_CASE(drm_gem_vram_test_scanout_mapped),
	{}
};

static struct kunit_suite drm_gem_vram_suite = {
	.name = "drm_gem_vram",
	.init = drm_gem_vram_test_init,
	.exit = drm_gem_vram_test_exit,
	.test_cases = drm_gem_vram_test_cases,
};

kunit_test_suite(drm_gem_vram_suite);

MODULE_DESCRIPTION("KUnit test suite for GEM objects of the VRAM helpers");
MODULE_LICENSE("GPL");
