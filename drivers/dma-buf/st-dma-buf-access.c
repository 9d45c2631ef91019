// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for CPU access to dma-bufs: when the exporter is called, and what
 * becomes of calls that fail or are wrong.
 */

#include <kunit/test.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/iosys-map.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "st-dma-buf-mock.h"

static const struct dma_buf_ops mock_ops = {
	.map_dma_buf = mock_map,
	.unmap_dma_buf = mock_unmap,
	.begin_cpu_access = mock_begin,
	.vmap = mock_vmap,
	.vunmap = mock_vunmap,
	.release = mock_release,
};

static const char *mock_fence_name(struct dma_fence *fence)
{
	return "dma-buf-access";
}

static const struct dma_fence_ops mock_fence_ops = {
	.get_driver_name = mock_fence_name,
	.get_timeline_name = mock_fence_name,
};

static DEFINE_SPINLOCK(mock_fence_lock);

static void mock_fence_done(void *data)
{
	struct dma_fence *fence = data;

	dma_fence_signal(fence);
	dma_fence_put(fence);
}

/* A device that is writing to the buffer until the fence is signalled. */
static struct dma_fence *mock_write(struct kunit *test, struct dma_buf *dmabuf)
{
	struct mock_exporter *mock = dmabuf->priv;
	struct dma_fence *fence;
	int ret;

	fence = kzalloc_obj(*fence);
	KUNIT_ASSERT_NOT_NULL(test, fence);
	dma_fence_init(fence, &mock_fence_ops, &mock_fence_lock,
		       dma_fence_context_alloc(1), 1);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, mock_fence_done,
						  fence));

	dma_resv_lock(dmabuf->resv, NULL);
	ret = dma_resv_reserve_fences(dmabuf->resv, 1);
	if (!ret)
		dma_resv_add_fence(dmabuf->resv, fence, DMA_RESV_USAGE_WRITE);
	dma_resv_unlock(dmabuf->resv);
	KUNIT_ASSERT_EQ(test, ret, 0);
	mock->fence = fence;

	return fence;
}

struct signaller {
	struct delayed_work work;
	struct dma_fence *fence;
};

static void signal_fence(struct work_struct *work)
{
	struct signaller *signaller =
		container_of(work, struct signaller, work.work);

	dma_fence_signal(signaller->fence);
}

/* The exporter is called when the device has written all, not before. */
static void test_begin_after_fences(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct signaller signaller = { .fence = mock_write(test, dmabuf) };

	INIT_DELAYED_WORK_ONSTACK(&signaller.work, signal_fence);
	schedule_delayed_work(&signaller.work, msecs_to_jiffies(20));

	KUNIT_EXPECT_EQ(test, 0,
			dma_buf_begin_cpu_access(dmabuf, DMA_FROM_DEVICE));
	KUNIT_EXPECT_EQ(test, mock->begun, 1);
	KUNIT_EXPECT_FALSE(test, mock->fence_pending);

	flush_delayed_work(&signaller.work);
	destroy_delayed_work_on_stack(&signaller.work);
}

/* Nothing has begun when the wait is interrupted. */
static void test_begin_interrupted(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;

	mock_write(test, dmabuf);
	allow_signal(SIGUSR1);
	send_sig(SIGUSR1, current, 0);

	KUNIT_EXPECT_EQ(test, -ERESTARTSYS,
			dma_buf_begin_cpu_access(dmabuf, DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_EQ(test, mock->begun, 0);

	flush_signals(current);
	disallow_signal(SIGUSR1);
}

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

	/* and it does not stay that way */
	mock->vmap_error = 0;
	KUNIT_EXPECT_EQ(test, 0, dma_buf_vmap_unlocked(dmabuf, &map));
	KUNIT_EXPECT_PTR_EQ(test, map.vaddr, mock->vaddr);
	dma_buf_vunmap_unlocked(dmabuf, &map);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);
}

static struct kunit_case dma_buf_cpu_access_cases[] = {
	KUNIT_CASE(test_begin_after_fences),
	KUNIT_CASE(test_begin_interrupted),
	KUNIT_CASE(test_vmap_fails),
	{}
};

static struct kunit_suite dma_buf_cpu_access_test_suite = {
	.name = "dma-buf-cpu-access",
	.test_cases = dma_buf_cpu_access_cases,
};

/* One call too many does nothing. */
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

/* A mapping stays for those who have it, whatever others hand in. */
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

/* A mapping that was forgotten goes with the buffer. */
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

kunit_test_suites(&dma_buf_cpu_access_test_suite,
		  &dma_buf_vmap_misuse_test_suite);

MODULE_DESCRIPTION("KUnit tests for CPU access to DMA-BUFs");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
