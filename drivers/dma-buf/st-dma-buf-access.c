// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for CPU access to dma-bufs: when the exporter is called, and what
 * becomes of calls that are wrong.
 */

#include <kunit/test.h>
#include <linux/ctype.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/iosys-map.h>
#include <linux/jiffies.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include <uapi/linux/dma-buf.h>

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
	KUNIT_EXPECT_EQ(test, 0,
			dma_buf_end_cpu_access(dmabuf, DMA_FROM_DEVICE));

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

static const struct dma_buf_ops mock_sync_ops = {
	.map_dma_buf = mock_map,
	.unmap_dma_buf = mock_unmap,
	.begin_cpu_access = mock_begin,
	.end_cpu_access = mock_end,
	.release = mock_release,
};

#define READER	DMA_FROM_DEVICE
#define WRITER	DMA_BIDIRECTIONAL

/* Begin or end access in the kernel, and compare all calls of the exporter. */
#define BEGIN(dir, calls) do {						\
	KUNIT_EXPECT_EQ(test, 0, dma_buf_begin_cpu_access(dmabuf, dir));\
	KUNIT_EXPECT_STREQ(test, mock->cpu_calls, calls);		\
} while (0)

#define END(dir, calls) do {						\
	KUNIT_EXPECT_EQ(test, 0, dma_buf_end_cpu_access(dmabuf, dir));	\
	KUNIT_EXPECT_STREQ(test, mock->cpu_calls, calls);		\
} while (0)

/* The same by user space, with DMA_BUF_IOCTL_SYNC */
#define SYNC(what, calls) do {						\
	KUNIT_EXPECT_EQ(test, 0, mock_ioctl_sync(test, dmabuf, what));	\
	KUNIT_EXPECT_STREQ(test, mock->cpu_calls, calls);		\
} while (0)

static long mock_ioctl_sync(struct kunit *test, struct dma_buf *dmabuf,
			    u64 flags)
{
	struct dma_buf_sync sync = { .flags = flags };
	struct file *file = dmabuf->file;
	unsigned long arg;

	if (!IS_ENABLED(CONFIG_MMU))
		kunit_skip(test, "no memory of user space without an MMU");

	arg = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE(test, arg, 0);
	KUNIT_ASSERT_EQ(test, 0, copy_to_user((void __user *)arg, &sync,
					      sizeof(sync)));

	return file->f_op->unlocked_ioctl(file, DMA_BUF_IOCTL_SYNC, arg);
}

/* The second writer's begin would drop what the first has written. */
static void test_overlap_writers(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_sync_ops);
	struct mock_exporter *mock = dmabuf->priv;

	BEGIN(WRITER, "B");
	BEGIN(WRITER, "B");
	END(WRITER, "B");
	BEGIN(WRITER, "B");
	END(WRITER, "B");
	END(WRITER, "Bb");

	/* and then it is as it was before */
	BEGIN(WRITER, "BbB");
	END(WRITER, "BbBb");
}

/* Who only writes may be joined by who reads. */
static void test_overlap_write_only(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_sync_ops);
	struct mock_exporter *mock = dmabuf->priv;

	BEGIN(DMA_TO_DEVICE, "B");
	BEGIN(READER, "B");
	END(READER, "B");
	END(DMA_TO_DEVICE, "Bb");
}

static void test_overlap_readers(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_sync_ops);
	struct mock_exporter *mock = dmabuf->priv;

	BEGIN(READER, "R");
	BEGIN(READER, "RR");
	END(READER, "RRr");
	BEGIN(READER, "RRrR");
	END(READER, "RRrRr");
	END(READER, "RRrRrr");
}

/* The writer's end and no other tells the exporter. */
static void test_overlap_reader_in_writer(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_sync_ops);
	struct mock_exporter *mock = dmabuf->priv;

	BEGIN(WRITER, "B");
	BEGIN(READER, "B");
	BEGIN(READER, "B");
	END(READER, "B");
	END(READER, "B");
	END(WRITER, "Bb");
}

/* Readers without a begin of their own get one when the writer goes. */
static void test_overlap_reader_after_writer(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_sync_ops);
	struct mock_exporter *mock = dmabuf->priv;

	BEGIN(WRITER, "B");
	BEGIN(READER, "B");
	BEGIN(READER, "B");
	END(WRITER, "BbR");
	BEGIN(READER, "BbRR");
	END(READER, "BbRR");
	END(READER, "BbRRr");
	END(READER, "BbRRrr");
}

/* The end of the reader, who had a begin, is made up for. */
static void test_overlap_writer_after_reader(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_sync_ops);
	struct mock_exporter *mock = dmabuf->priv;

	BEGIN(READER, "R");
	BEGIN(READER, "RR");
	BEGIN(WRITER, "RRB");
	END(READER, "RRB");
	END(READER, "RRB");
	END(WRITER, "RRBbrr");
}

static void test_overlap_writer_in_reader(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_sync_ops);
	struct mock_exporter *mock = dmabuf->priv;

	BEGIN(READER, "R");
	BEGIN(WRITER, "RB");
	END(WRITER, "RBb");
	END(READER, "RBbr");

	/* with one reader that had a begin, and one that had none */
	memset(mock->cpu_calls, 0, sizeof(mock->cpu_calls));
	BEGIN(READER, "R");
	BEGIN(WRITER, "RB");
	BEGIN(READER, "RB");
	END(READER, "RB");
	BEGIN(READER, "RB");
	END(WRITER, "RBbR");
	END(READER, "RBbRr");
	END(READER, "RBbRrr");
}

/* Who could not begin does not count. */
static void test_overlap_begin_fails(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_sync_ops);
	struct mock_exporter *mock = dmabuf->priv;

	mock->begin_error = -ENOMEM;
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			dma_buf_begin_cpu_access(dmabuf, WRITER));
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			dma_buf_begin_cpu_access(dmabuf, READER));
	mock->begin_error = 0;
	BEGIN(READER, "xxR");
	mock->begin_error = -ENOMEM;
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			dma_buf_begin_cpu_access(dmabuf, WRITER));
	mock->begin_error = 0;
	BEGIN(READER, "xxRxR");
	END(READER, "xxRxRr");
	END(READER, "xxRxRrr");
	BEGIN(WRITER, "xxRxRrrB");
	END(WRITER, "xxRxRrrBb");
}

/* Readers that are left without a begin get no end either. */
static void test_overlap_begin_for_reader_fails(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_sync_ops);
	struct mock_exporter *mock = dmabuf->priv;

	BEGIN(WRITER, "B");
	BEGIN(READER, "B");
	mock->begin_error = -ENOMEM;
	END(WRITER, "Bbx");
	mock->begin_error = 0;
	BEGIN(READER, "BbxR");
	END(READER, "BbxR");
	END(READER, "BbxRr");
	BEGIN(WRITER, "BbxRrB");
	END(WRITER, "BbxRrBb");
}

/* User space cannot get in the way of a writer in the kernel. */
static void test_overlap_ioctl(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_sync_ops);
	struct mock_exporter *mock = dmabuf->priv;

	BEGIN(WRITER, "B");
	SYNC(DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW, "B");
	SYNC(DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW, "B");
	SYNC(DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE, "B");
	SYNC(DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ, "B");
	END(WRITER, "Bb");
	SYNC(DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ, "Bbr");

	/* Readers in the kernel lose nothing. */
	BEGIN(READER, "BbrR");
	SYNC(DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE, "BbrRW");
	SYNC(DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE, "BbrRWw");
	END(READER, "BbrRWwr");
}

/* Calls that user space owes, or has made too often, change nothing. */
static void test_overlap_ioctl_unbalanced(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_sync_ops);
	struct mock_exporter *mock = dmabuf->priv;

	/* killed before the end */
	SYNC(DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW, "B");
	BEGIN(WRITER, "BB");
	END(WRITER, "BBb");
	BEGIN(READER, "BBbR");
	END(READER, "BBbRr");

	SYNC(DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW, "BBbRrb");
	SYNC(DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW, "BBbRrbb");
	BEGIN(WRITER, "BBbRrbbB");
	SYNC(DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW, "BBbRrbbB");
	END(WRITER, "BBbRrbbBb");
}

struct accessor {
	struct work_struct work;
	struct dma_buf *dmabuf;
	enum dma_data_direction dir;
	int ret;
};

static void access_buffer(struct work_struct *work)
{
	struct accessor *a = container_of(work, struct accessor, work);

	a->ret = dma_buf_begin_cpu_access(a->dmabuf, a->dir);
	if (!a->ret)
		a->ret = dma_buf_end_cpu_access(a->dmabuf, a->dir);
}

/* The exporter is called once at a time, and as often to begin as to end. */
static void test_overlap_threads(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_sync_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct accessor accessors[6];
	int i, open = 0;

	for (i = 0; i < ARRAY_SIZE(accessors); i++) {
		INIT_WORK_ONSTACK(&accessors[i].work, access_buffer);
		accessors[i].dmabuf = dmabuf;
		accessors[i].dir = i & 1 ? WRITER : READER;
		queue_work(system_dfl_wq, &accessors[i].work);
	}
	for (i = 0; i < ARRAY_SIZE(accessors); i++) {
		flush_work(&accessors[i].work);
		destroy_work_on_stack(&accessors[i].work);
		KUNIT_EXPECT_EQ(test, accessors[i].ret, 0);
	}

	KUNIT_EXPECT_FALSE(test, mock->cpu_overlap);
	for (i = 0; mock->cpu_calls[i]; i++)
		open += isupper(mock->cpu_calls[i]) ? 1 : -1;
	KUNIT_EXPECT_EQ(test, open, 0);
}

static struct kunit_case dma_buf_cpu_access_cases[] = {
	KUNIT_CASE(test_begin_after_fences),
	KUNIT_CASE(test_begin_interrupted),
	KUNIT_CASE(test_overlap_writers),
	KUNIT_CASE(test_overlap_write_only),
	KUNIT_CASE(test_overlap_readers),
	KUNIT_CASE(test_overlap_reader_in_writer),
	KUNIT_CASE(test_overlap_reader_after_writer),
	KUNIT_CASE(test_overlap_writer_after_reader),
	KUNIT_CASE(test_overlap_writer_in_reader),
	KUNIT_CASE(test_overlap_begin_fails),
	KUNIT_CASE(test_overlap_begin_for_reader_fails),
	KUNIT_CASE(test_overlap_ioctl),
	KUNIT_CASE(test_overlap_ioctl_unbalanced),
	KUNIT_CASE(test_overlap_threads),
	{}
};

static struct kunit_suite dma_buf_cpu_access_test_suite = {
	.name = "dma-buf-cpu-access",
	.test_cases = dma_buf_cpu_access_cases,
};

/* An end without a begin does not end what others have begun. */
static void test_end_twice(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_sync_ops);
	struct mock_exporter *mock = dmabuf->priv;

	BEGIN(WRITER, "B");
	END(WRITER, "Bb");
	kunit_warning_suppress(test) {
		END(WRITER, "Bbb");
		EXPECT_WARNINGS(test, 1);
	}
	BEGIN(WRITER, "BbbB");
	END(WRITER, "BbbBb");
}

/* Whoever has said to read and ends as a writer, or the other way round. */
static void test_end_other_direction(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_sync_ops);
	struct mock_exporter *mock = dmabuf->priv;

	BEGIN(WRITER, "B");
	BEGIN(READER, "B");
	END(READER, "B");
	kunit_warning_suppress(test) {
		END(READER, "Bb");
		EXPECT_WARNINGS(test, 1);
	}
	BEGIN(READER, "BbR");
	kunit_warning_suppress(test) {
		END(WRITER, "BbRb");
		EXPECT_WARNINGS(test, 1);
	}
	BEGIN(WRITER, "BbRbB");
	END(WRITER, "BbRbBb");
	END(READER, "BbRbBbr");
}

/* It would be too late to end what was begun. */
static void test_release_begun(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_sync_ops);
	struct mock_exporter *mock = dmabuf->priv;

	BEGIN(WRITER, "B");
	kunit_warning_suppress(test) {
		kunit_release_action(test, mock_put, dmabuf);
		EXPECT_WARNINGS(test, 1);
	}
	KUNIT_EXPECT_STREQ(test, mock->cpu_calls, "B");
	KUNIT_EXPECT_EQ(test, mock->released, 1);
}

static struct kunit_case dma_buf_cpu_access_misuse_cases[] = {
	KUNIT_CASE(test_end_twice),
	KUNIT_CASE(test_end_other_direction),
	KUNIT_CASE(test_release_begun),
	{}
};

/* Bugs that only drivers can have. */
static struct kunit_suite dma_buf_cpu_access_misuse_test_suite = {
	.name = "dma-buf-cpu-access-misuse",
	.test_cases = dma_buf_cpu_access_misuse_cases,
};

kunit_test_suites(&dma_buf_cpu_access_test_suite,
		  &dma_buf_cpu_access_misuse_test_suite);

MODULE_DESCRIPTION("KUnit tests for CPU access to DMA-BUFs");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
