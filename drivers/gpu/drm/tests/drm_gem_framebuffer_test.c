// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit test suite for the GEM framebuffer helpers: CPU access to imports
 */

#include <linux/dma-buf.h>
#include <linux/dma-resv.h>

#include <kunit/test.h>

#include <drm/drm_fourcc.h>
#include <drm/drm_framebuffer.h>
#include <drm/drm_gem.h>
#include <drm/drm_gem_framebuffer_helper.h>

/* A framebuffer of two imported buffers, and how often each is accessed */
struct fb_test {
	struct drm_framebuffer fb;
	struct drm_gem_object obj[2];
	struct dma_buf_attachment attach[2];
	struct dma_buf dmabuf[2];
	struct dma_resv resv;
	int accesses[2];
};

static int fb_test_begin_cpu_access(struct dma_buf *dmabuf,
				    enum dma_data_direction dir)
{
	++*(int *)dmabuf->priv;

	return 0;
}

static int fb_test_end_cpu_access(struct dma_buf *dmabuf,
				  enum dma_data_direction dir)
{
	--*(int *)dmabuf->priv;

	return 0;
}

static const struct dma_buf_ops fb_test_ops = {
	.cpu_access_nowait = true,
	.begin_cpu_access = fb_test_begin_cpu_access,
	.end_cpu_access = fb_test_end_cpu_access,
};

static const struct dma_buf_ops fb_test_waiting_ops = {
	.begin_cpu_access = fb_test_begin_cpu_access,
	.end_cpu_access = fb_test_end_cpu_access,
};

static int drm_gem_fb_test_init(struct kunit *test)
{
	struct fb_test *priv;
	int i;

	priv = kunit_kzalloc(test, sizeof(*priv), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, priv);
	test->priv = priv;

	dma_resv_init(&priv->resv);
	priv->fb.format = drm_format_info(DRM_FORMAT_NV12);
	for (i = 0; i < ARRAY_SIZE(priv->obj); i++) {
		priv->dmabuf[i].ops = &fb_test_ops;
		priv->dmabuf[i].resv = &priv->resv;
		priv->dmabuf[i].priv = &priv->accesses[i];
		priv->attach[i].dmabuf = &priv->dmabuf[i];
		priv->obj[i].import_attach = &priv->attach[i];
		priv->fb.obj[i] = &priv->obj[i];
	}

	return 0;
}

static void drm_gem_fb_test_exit(struct kunit *test)
{
	struct fb_test *priv = test->priv;

	if (priv)
		dma_resv_fini(&priv->resv);
}

/* Both buffers are accessed from begin to end. */
static void drm_gem_fb_test_nowait(struct kunit *test)
{
	struct fb_test *priv = test->priv;

	KUNIT_ASSERT_EQ(test, 0,
			drm_gem_fb_begin_cpu_access_nowait(&priv->fb,
							   DMA_FROM_DEVICE));
	KUNIT_EXPECT_EQ(test, priv->accesses[0], 1);
	KUNIT_EXPECT_EQ(test, priv->accesses[1], 1);

	drm_gem_fb_end_cpu_access(&priv->fb, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, priv->accesses[0], 0);
	KUNIT_EXPECT_EQ(test, priv->accesses[1], 0);
}

/* An exporter that may wait is not called, and no access is left begun. */
static void drm_gem_fb_test_nowait_refused(struct kunit *test)
{
	struct fb_test *priv = test->priv;
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(priv->obj); i++) {
		priv->dmabuf[i].ops = &fb_test_waiting_ops;
		priv->dmabuf[!i].ops = &fb_test_ops;
		ret = drm_gem_fb_begin_cpu_access_nowait(&priv->fb,
							 DMA_FROM_DEVICE);
		KUNIT_EXPECT_EQ(test, ret, -EOPNOTSUPP);
		KUNIT_EXPECT_EQ(test, priv->accesses[0], 0);
		KUNIT_EXPECT_EQ(test, priv->accesses[1], 0);
	}
}

static struct kunit_case drm_gem_fb_test_cases[] = {
	KUNIT_CASE(drm_gem_fb_test_nowait),
	KUNIT_CASE(drm_gem_fb_test_nowait_refused),
	{}
};

static struct kunit_suite drm_gem_fb_suite = {
	.name = "drm_gem_framebuffer",
	.init = drm_gem_fb_test_init,
	.exit = drm_gem_fb_test_exit,
	.test_cases = drm_gem_fb_test_cases,
};

kunit_test_suite(drm_gem_fb_suite);

MODULE_DESCRIPTION("KUnit test suite for the GEM framebuffer helpers");
MODULE_LICENSE("GPL");
