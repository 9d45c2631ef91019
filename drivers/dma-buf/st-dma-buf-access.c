// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for CPU access to dma-bufs: when the exporter is called.
 */

#include <kunit/test.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
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

/* A device that writes to the buffer until @signal is run or the test ends. */
struct mock_fence {
	struct dma_fence base;
	spinlock_t lock;		/* for dma_fence_init() */
	struct work_struct signal;
	bool signal_when_waited_for;
};

static const char *mock_fence_name(struct dma_fence *fence)
{
	return "dma-buf-access";
}

/* Somebody begins to wait. */
static bool mock_fence_enable_signaling(struct dma_fence *fence)
{
	struct mock_fence *mock = container_of(fence, struct mock_fence, base);

	if (mock->signal_when_waited_for)
		schedule_work(&mock->signal);

	return true;
}

static const struct dma_fence_ops mock_fence_ops = {
	.get_driver_name = mock_fence_name,
	.get_timeline_name = mock_fence_name,
	.enable_signaling = mock_fence_enable_signaling,
};

static void mock_fence_signal(struct work_struct *work)
{
	struct mock_fence *mock = container_of(work, struct mock_fence, signal);

	dma_fence_signal(&mock->base);
}

static void mock_fence_done(void *data)
{
	struct mock_fence *mock = data;

	flush_work(&mock->signal);
	dma_fence_signal(&mock->base);
	dma_fence_put(&mock->base);
}

static void mock_write(struct kunit *test, struct dma_buf *dmabuf,
		       bool signal_when_waited_for)
{
	struct mock_exporter *mock = dmabuf->priv;
	struct mock_fence *fence;
	int ret;

	fence = kzalloc_obj(*fence);
	KUNIT_ASSERT_NOT_NULL(test, fence);
	spin_lock_init(&fence->lock);
	INIT_WORK(&fence->signal, mock_fence_signal);
	fence->signal_when_waited_for = signal_when_waited_for;
	dma_fence_init(&fence->base, &mock_fence_ops, &fence->lock,
		       dma_fence_context_alloc(1), 1);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, mock_fence_done,
						  fence));

	dma_resv_lock(dmabuf->resv, NULL);
	ret = dma_resv_reserve_fences(dmabuf->resv, 1);
	if (!ret)
		dma_resv_add_fence(dmabuf->resv, &fence->base,
				   DMA_RESV_USAGE_WRITE);
	dma_resv_unlock(dmabuf->resv);
	KUNIT_ASSERT_EQ(test, ret, 0);
	mock->fence = &fence->base;
}

/* The exporter is not called before the device has finished writing. */
static void test_begin_after_fences(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;

	mock_write(test, dmabuf, true);

	KUNIT_EXPECT_EQ(test, 0,
			dma_buf_begin_cpu_access(dmabuf, DMA_FROM_DEVICE));
	KUNIT_EXPECT_EQ(test, mock->begun, 1);
	KUNIT_EXPECT_FALSE(test, mock->fence_pending);
	KUNIT_EXPECT_EQ(test, 0,
			dma_buf_end_cpu_access(dmabuf, DMA_FROM_DEVICE));
}

/* The exporter is not called if the wait is interrupted. */
static void test_begin_interrupted(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;

	mock_write(test, dmabuf, false);
	allow_signal(SIGUSR1);
	send_sig(SIGUSR1, current, 0);

	KUNIT_EXPECT_EQ(test, -ERESTARTSYS,
			dma_buf_begin_cpu_access(dmabuf, DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_EQ(test, mock->begun, 0);

	flush_signals(current);
	disallow_signal(SIGUSR1);
}

static struct kunit_case dma_buf_cpu_access_cases[] = {
	KUNIT_CASE(test_begin_after_fences),
	KUNIT_CASE(test_begin_interrupted),
	{}
};

static struct kunit_suite dma_buf_cpu_access_test_suite = {
	.name = "dma-buf-cpu-access",
	.test_cases = dma_buf_cpu_access_cases,
};

kunit_test_suite(dma_buf_cpu_access_test_suite);

MODULE_DESCRIPTION("KUnit tests for CPU access to DMA-BUFs");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
