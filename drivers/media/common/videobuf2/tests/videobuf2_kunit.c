// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for videobuf2: a queue without hardware, with an allocator and a
 * driver that only count what they are called for.
 */

#include <kunit/test.h>
#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/videodev2.h>
#include <media/videobuf2-core.h>
#include <media/videobuf2-v4l2.h>

#define MAX_PLANES	2
#define MAX_DMABUFS	2

/* how large the driver wants each plane to be at least */
#define MIN_SIZE	SZ_4K
#define SMALL		SZ_8K
#define LARGE		SZ_64K

struct mock {
	struct vb2_queue q;
	struct mutex lock;	/* of the queue */
	unsigned int num_planes;

	/* the dma-bufs of the test, with a file descriptor each */
	unsigned int num_dmabufs;
	struct dma_buf *dmabuf[MAX_DMABUFS];
	int fd[MAX_DMABUFS];

	/* what the allocator has got, and will answer */
	int attached;
	int mapped;
	int prepared;
	struct dma_buf *last_attached;
	unsigned long attach_size;
	int attach_errors_after;
	int map_error;

	/* and the driver */
	int initialised;
	int buf_prepared;
	int prepare_error;
	int start_error;
};

static struct mock *to_mock(struct vb2_buffer *vb)
{
	return container_of(vb->vb2_queue, struct mock, q);
}

/* What the allocator keeps of a plane. */
struct mock_mem {
	struct mock *mock;
};

static void *mock_mem_get(struct vb2_buffer *vb)
{
	struct mock_mem *mem;

	mem = kzalloc_obj(*mem);
	if (!mem)
		return ERR_PTR(-ENOMEM);
	mem->mock = to_mock(vb);
	mem->mock->attached++;

	return mem;
}

static void mock_mem_put(void *priv)
{
	struct mock_mem *mem = priv;

	mem->mock->attached--;
	kfree(mem);
}

static void *mock_alloc(struct vb2_buffer *vb, struct device *dev,
			unsigned long size)
{
	return mock_mem_get(vb);
}

static unsigned int mock_num_users(void *priv)
{
	return 1;
}

static int mock_mmap(void *priv, struct vm_area_struct *vma)
{
	return -ENODEV;
}

static void *mock_get_userptr(struct vb2_buffer *vb, struct device *dev,
			      unsigned long vaddr, unsigned long size)
{
	return mock_mem_get(vb);
}

static void *mock_attach(struct vb2_buffer *vb, struct device *dev,
			 struct dma_buf *dmabuf, unsigned long size)
{
	struct mock *mock = to_mock(vb);

	if (mock->attach_errors_after && mock->attached >=
	    mock->attach_errors_after)
		return ERR_PTR(-EBUSY);
	mock->last_attached = dmabuf;
	mock->attach_size = size;

	return mock_mem_get(vb);
}

static int mock_map(void *priv)
{
	struct mock *mock = ((struct mock_mem *)priv)->mock;

	if (mock->map_error)
		return mock->map_error;
	mock->mapped++;

	return 0;
}

static void mock_unmap(void *priv)
{
	((struct mock_mem *)priv)->mock->mapped--;
}

static void mock_prepare(void *priv)
{
	((struct mock_mem *)priv)->mock->prepared++;
}

static void mock_finish(void *priv)
{
	((struct mock_mem *)priv)->mock->prepared--;
}

static const struct vb2_mem_ops mock_mem_ops = {
	.alloc = mock_alloc,
	.put = mock_mem_put,
	.num_users = mock_num_users,
	.mmap = mock_mmap,
	.get_userptr = mock_get_userptr,
	.put_userptr = mock_mem_put,
	.attach_dmabuf = mock_attach,
	.detach_dmabuf = mock_mem_put,
	.map_dmabuf = mock_map,
	.unmap_dmabuf = mock_unmap,
	.prepare = mock_prepare,
	.finish = mock_finish,
};

static int mock_queue_setup(struct vb2_queue *q, unsigned int *num_buffers,
			    unsigned int *num_planes, unsigned int sizes[],
			    struct device *alloc_devs[])
{
	struct mock *mock = container_of(q, struct mock, q);
	unsigned int i;

	*num_planes = mock->num_planes;
	for (i = 0; i < mock->num_planes; i++)
		sizes[i] = MIN_SIZE;

	return 0;
}

static int mock_buf_init(struct vb2_buffer *vb)
{
	to_mock(vb)->initialised++;

	return 0;
}

static void mock_buf_cleanup(struct vb2_buffer *vb)
{
	to_mock(vb)->initialised--;
}

static int mock_buf_prepare(struct vb2_buffer *vb)
{
	struct mock *mock = to_mock(vb);

	if (!mock->prepare_error)
		mock->buf_prepared++;

	return mock->prepare_error;
}

static void mock_buf_finish(struct vb2_buffer *vb)
{
	to_mock(vb)->buf_prepared--;
}

static void mock_buf_queue(struct vb2_buffer *vb)
{
}

/* Gives back all buffers, in @state */
static void mock_return(struct vb2_queue *q, enum vb2_buffer_state state)
{
	unsigned int i;

	for (i = 0; i < q->max_num_buffers; i++) {
		struct vb2_buffer *vb = vb2_get_buffer(q, i);

		if (vb && vb->state == VB2_BUF_STATE_ACTIVE)
			vb2_buffer_done(vb, state);
	}
}

static int mock_start_streaming(struct vb2_queue *q, unsigned int count)
{
	struct mock *mock = container_of(q, struct mock, q);

	if (mock->start_error)
		mock_return(q, VB2_BUF_STATE_QUEUED);

	return mock->start_error;
}

static void mock_stop_streaming(struct vb2_queue *q)
{
	mock_return(q, VB2_BUF_STATE_ERROR);
}

static const struct vb2_ops mock_qops = {
	.queue_setup = mock_queue_setup,
	.buf_init = mock_buf_init,
	.buf_cleanup = mock_buf_cleanup,
	.buf_prepare = mock_buf_prepare,
	.buf_finish = mock_buf_finish,
	.buf_queue = mock_buf_queue,
	.start_streaming = mock_start_streaming,
	.stop_streaming = mock_stop_streaming,
};

static struct sg_table *mock_map_dma_buf(struct dma_buf_attachment *attach,
					 enum dma_data_direction dir)
{
	return ERR_PTR(-ENODEV);
}

static void mock_unmap_dma_buf(struct dma_buf_attachment *attach,
			       struct sg_table *sgt,
			       enum dma_data_direction dir)
{
}

static void mock_release(struct dma_buf *dmabuf)
{
}

static const struct dma_buf_ops mock_dma_buf_ops = {
	.map_dma_buf = mock_map_dma_buf,
	.unmap_dma_buf = mock_unmap_dma_buf,
	.release = mock_release,
};

static void mock_close(void *data)
{
	struct mock *mock = data;
	unsigned int i;

	vb2_queue_release(&mock->q);
	for (i = 0; i < mock->num_dmabufs; i++)
		close_fd(mock->fd[i]);
}

/* A queue of @type with one buffer of @memory. */
static struct mock *mock_open(struct kunit *test, enum v4l2_buf_type type,
			      enum v4l2_memory memory)
{
	struct v4l2_requestbuffers req = {
		.count = 1, .type = type, .memory = memory,
	};
	struct mock *mock;

	mock = kunit_kzalloc(test, sizeof(*mock), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mock);

	mutex_init(&mock->lock);
	mock->num_planes = V4L2_TYPE_IS_MULTIPLANAR(type) ? MAX_PLANES : 1;
	mock->q.type = type;
	mock->q.io_modes = VB2_MMAP | VB2_USERPTR | VB2_DMABUF;
	mock->q.ops = &mock_qops;
	mock->q.mem_ops = &mock_mem_ops;
	mock->q.buf_struct_size = sizeof(struct vb2_v4l2_buffer);
	mock->q.timestamp_flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
	mock->q.allow_cache_hints = 1;
	mock->q.lock = &mock->lock;
	KUNIT_ASSERT_EQ(test, 0, vb2_queue_init(&mock->q));
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, mock_close, mock));
	KUNIT_ASSERT_EQ(test, 0, vb2_reqbufs(&mock->q, &req));

	return mock;
}

/* Exports a dma-buf that has nothing but a size and, as each, a reference. */
static void mock_export(struct kunit *test, struct mock *mock, size_t size)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct dma_buf *dmabuf;
	int fd;

	exp_info.ops = &mock_dma_buf_ops;
	exp_info.size = size;
	exp_info.flags = O_RDWR;
	exp_info.priv = mock;

	dmabuf = dma_buf_export(&exp_info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dmabuf);
	fd = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(dmabuf);
	KUNIT_ASSERT_GE(test, fd, 0);
	mock->dmabuf[mock->num_dmabufs] = dmabuf;
	mock->fd[mock->num_dmabufs++] = fd;
}

static long references(struct mock *mock, unsigned int i)
{
	return file_count(mock->dmabuf[i]->file);
}

/* VIDIOC_QBUF with as much of a plane as the tests need */
struct plane {
	int fd;
	u32 length;
	u32 bytesused;
	u32 data_offset;
};

static void fill_buffer(struct mock *mock, struct v4l2_buffer *b,
			struct v4l2_plane *planes, const struct plane *plane)
{
	unsigned int i;

	b->type = mock->q.type;
	b->memory = mock->q.memory;
	b->field = V4L2_FIELD_NONE;

	if (mock->num_planes == 1) {
		if (b->memory == V4L2_MEMORY_DMABUF)
			b->m.fd = plane->fd;
		else if (b->memory == V4L2_MEMORY_USERPTR)
			b->m.userptr = PAGE_SIZE;
		b->length = plane->length;
		b->bytesused = plane->bytesused;
		return;
	}

	b->m.planes = planes;
	b->length = mock->num_planes;
	for (i = 0; i < mock->num_planes; i++) {
		planes[i].m.fd = plane[i].fd;
		planes[i].length = plane[i].length;
		planes[i].bytesused = plane[i].bytesused;
		planes[i].data_offset = plane[i].data_offset;
	}
}

static int qbuf_flags(struct mock *mock, const struct plane *plane, u32 flags)
{
	struct v4l2_plane planes[MAX_PLANES] = { };
	struct v4l2_buffer b = { .flags = flags };

	fill_buffer(mock, &b, planes, plane);

	return vb2_qbuf(&mock->q, NULL, &b);
}

static int qbuf(struct mock *mock, const struct plane *plane)
{
	return qbuf_flags(mock, plane, 0);
}

static int prepare_buf(struct mock *mock, const struct plane *plane)
{
	struct v4l2_plane planes[MAX_PLANES] = { };
	struct v4l2_buffer b = { };

	fill_buffer(mock, &b, planes, plane);

	return vb2_prepare_buf(&mock->q, NULL, &b);
}

/* Takes back what is queued; the queue keeps knowing its planes. */
static void cancel(struct kunit *test, struct mock *mock)
{
	KUNIT_EXPECT_EQ(test, 0, vb2_streamoff(&mock->q, mock->q.type));
	KUNIT_EXPECT_EQ(test, mock->prepared, 0);
	KUNIT_EXPECT_EQ(test, mock->buf_prepared, 0);
}

/* However an import fails, no reference is left. */
static void test_import_fails(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
				      V4L2_MEMORY_DMABUF);
	struct plane plane[MAX_PLANES];
	int i;

	for (i = 0; i < MAX_DMABUFS; i++) {
		mock_export(test, mock, SMALL);
		plane[i] = (struct plane){ .fd = mock->fd[i] };
	}

	mock->map_error = -ENOMEM;
	for (i = 0; i < 100; i++)
		KUNIT_EXPECT_EQ(test, -ENOMEM, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, references(mock, 0), 1);
	KUNIT_EXPECT_EQ(test, references(mock, 1), 1);
	mock->map_error = 0;

	/* the second plane only */
	mock->attach_errors_after = 1;
	KUNIT_EXPECT_EQ(test, -EBUSY, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, references(mock, 0), 1);
	KUNIT_EXPECT_EQ(test, references(mock, 1), 1);
	KUNIT_EXPECT_EQ(test, mock->attached, 0);
	KUNIT_EXPECT_EQ(test, mock->mapped, 0);
	KUNIT_EXPECT_EQ(test, mock->initialised, 0);
	mock->attach_errors_after = 0;

	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, references(mock, 0), 2);
	KUNIT_EXPECT_EQ(test, references(mock, 1), 2);
	cancel(test, mock);
}

/* A buffer keeps what it has until there is something to replace it. */
static void test_import_keeps_planes(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_DMABUF);
	struct plane good = { }, bad = { .fd = -1 }, small = { };
	int i;

	mock_export(test, mock, SMALL);
	mock_export(test, mock, MIN_SIZE / 2);
	good.fd = mock->fd[0];
	small.fd = mock->fd[1];

	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &good));
		cancel(test, mock);
		KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, &bad));
		KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, &small));

		KUNIT_EXPECT_EQ(test, references(mock, 0), 2);
		KUNIT_EXPECT_EQ(test, references(mock, 1), 1);
		KUNIT_EXPECT_EQ(test, mock->attached, 1);
		KUNIT_EXPECT_EQ(test, mock->mapped, 1);
		KUNIT_EXPECT_EQ(test, mock->initialised, 1);
	}
}

/* The same for user pointers */
static void test_userptr_keeps_planes(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_USERPTR);
	struct plane good = { .length = MIN_SIZE };
	struct plane bad = { .length = MIN_SIZE / 2 };
	int i;

	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &good));
		cancel(test, mock);
		KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, &bad));
		KUNIT_EXPECT_EQ(test, mock->attached, 1);
		KUNIT_EXPECT_EQ(test, mock->initialised, 1);
	}
}

/* Nobody finds a buffer by its timestamp when its memory is gone. */
static void test_import_forgets_timestamp(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_DMABUF);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane plane = { };

	mock_export(test, mock, SMALL);
	mock_export(test, mock, SMALL);

	/* the driver does not like what it got */
	mock->prepare_error = -EIO;
	vb->copied_timestamp = 1;
	plane.fd = mock->fd[0];
	KUNIT_EXPECT_EQ(test, -EIO, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, mock->attached, 0);
	KUNIT_EXPECT_FALSE(test, vb->copied_timestamp);
	mock->prepare_error = 0;

	/* what it had is still there, and then it is not */
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	cancel(test, mock);
	vb->copied_timestamp = 1;
	plane.length = SMALL + 1;
	KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, &plane));
	KUNIT_EXPECT_TRUE(test, vb->copied_timestamp);
	plane.length = 0;
	plane.fd = mock->fd[1];
	mock->map_error = -ENOMEM;
	KUNIT_EXPECT_EQ(test, -ENOMEM, qbuf(mock, &plane));
	KUNIT_EXPECT_FALSE(test, vb->copied_timestamp);
}

/* No plane may be longer than its dma-buf, also if it shares that. */
static void test_plane_sizes(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
				      V4L2_MEMORY_DMABUF);
	struct plane plane[MAX_PLANES] = { };

	mock_export(test, mock, SMALL);
	plane[0].fd = mock->fd[0];
	plane[1].fd = mock->fd[0];
	plane[0].length = MIN_SIZE;

	plane[1].length = SMALL + 1;
	KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, mock->attached, 0);
	cancel(test, mock);

	/* the allocator has to check for the larger of them */
	plane[1].length = SMALL;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, mock->attached, 1);
	KUNIT_EXPECT_EQ(test, mock->attach_size, SMALL);
	cancel(test, mock);
}

/* The payload must fit into what is being queued, not into what was. */
static void test_payload(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_OUTPUT,
				      V4L2_MEMORY_DMABUF);
	struct plane small = { }, large = { };
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);

	mock_export(test, mock, SMALL);
	mock_export(test, mock, LARGE);
	small.fd = mock->fd[0];
	large.fd = mock->fd[1];

	large.length = LARGE;
	large.bytesused = LARGE;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &large));
	KUNIT_EXPECT_EQ(test, vb2_get_plane_payload(vb, 0), LARGE);
	cancel(test, mock);

	small.length = SMALL;
	small.bytesused = LARGE;
	KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, &small));
	cancel(test, mock);
	small.length = 0;
	KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, &small));
	cancel(test, mock);

	/* a length of zero is all of it, and so is a payload of zero */
	small.bytesused = SMALL - 1;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &small));
	KUNIT_EXPECT_EQ(test, vb2_plane_size(vb, 0), SMALL);
	KUNIT_EXPECT_EQ(test, vb2_get_plane_payload(vb, 0), SMALL - 1);
	cancel(test, mock);
	small.bytesused = 0;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &small));
	KUNIT_EXPECT_EQ(test, vb2_get_plane_payload(vb, 0), SMALL);
	cancel(test, mock);

	/* larger than before, after a failed import */
	mock->map_error = -ENOMEM;
	KUNIT_EXPECT_EQ(test, -ENOMEM, qbuf(mock, &large));
	mock->map_error = 0;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &large));
	KUNIT_EXPECT_EQ(test, vb2_get_plane_payload(vb, 0), LARGE);
	cancel(test, mock);
}

/* And so must the offset of the data. */
static void test_payload_planes(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
				      V4L2_MEMORY_DMABUF);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane plane[MAX_PLANES] = { };

	mock_export(test, mock, SMALL);
	plane[0].fd = mock->fd[0];
	plane[1].fd = mock->fd[0];

	plane[1].bytesused = SMALL + 1;
	KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, plane));
	plane[1].bytesused = SMALL;
	plane[1].data_offset = SMALL;
	KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, plane));
	plane[1].bytesused = 0;
	KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, plane));

	plane[1].data_offset = SMALL - 1;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, vb2_get_plane_payload(vb, 0), SMALL);
	KUNIT_EXPECT_EQ(test, vb2_get_plane_payload(vb, 1), SMALL);
	cancel(test, mock);
}

/* A hint counts for the call that gives it. */
static void test_cache_hints(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_MMAP);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane plane = { };

	KUNIT_EXPECT_EQ(test, 0,
			qbuf_flags(mock, &plane,
				   V4L2_BUF_FLAG_NO_CACHE_CLEAN |
				   V4L2_BUF_FLAG_NO_CACHE_INVALIDATE));
	KUNIT_EXPECT_TRUE(test, vb->skip_cache_sync_on_prepare);
	KUNIT_EXPECT_TRUE(test, vb->skip_cache_sync_on_finish);
	cancel(test, mock);

	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_FALSE(test, vb->skip_cache_sync_on_prepare);
	KUNIT_EXPECT_FALSE(test, vb->skip_cache_sync_on_finish);
	cancel(test, mock);
}

/* A prepared buffer that goes is finished, for allocator and driver. */
static void test_remove_prepared(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_DMABUF);
	struct plane plane = { };

	mock_export(test, mock, SMALL);
	plane.fd = mock->fd[0];

	KUNIT_EXPECT_EQ(test, 0, prepare_buf(mock, &plane));
	KUNIT_EXPECT_EQ(test, mock->prepared, 1);
	KUNIT_EXPECT_EQ(test, mock->buf_prepared, 1);

	KUNIT_EXPECT_EQ(test, 0, vb2_core_remove_bufs(&mock->q, 0, 1));
	KUNIT_EXPECT_EQ(test, mock->prepared, 0);
	KUNIT_EXPECT_EQ(test, mock->buf_prepared, 0);
	KUNIT_EXPECT_EQ(test, mock->initialised, 0);
	KUNIT_EXPECT_EQ(test, mock->attached, 0);
	KUNIT_EXPECT_EQ(test, references(mock, 0), 1);
}

/* The buffer of a failed VIDIOC_QBUF can be queued with another dma-buf. */
static void test_start_fails(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_DMABUF);
	struct plane plane = { };

	mock_export(test, mock, SMALL);
	mock_export(test, mock, SMALL);

	/* the driver starts when it has a buffer */
	mock->q.min_queued_buffers = 1;
	KUNIT_ASSERT_EQ(test, 0, vb2_streamon(&mock->q, mock->q.type));
	mock->start_error = -EIO;
	plane.fd = mock->fd[0];
	KUNIT_EXPECT_EQ(test, -EIO, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, mock->prepared, 0);
	KUNIT_EXPECT_EQ(test, mock->buf_prepared, 0);

	mock->start_error = 0;
	plane.fd = mock->fd[1];
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_PTR_EQ(test, mock->last_attached, mock->dmabuf[1]);
	KUNIT_EXPECT_EQ(test, references(mock, 0), 1);
	KUNIT_EXPECT_EQ(test, references(mock, 1), 2);
	KUNIT_EXPECT_EQ(test, mock->prepared, 1);
	KUNIT_EXPECT_EQ(test, mock->buf_prepared, 1);
	cancel(test, mock);
}

static struct kunit_case videobuf2_cases[] = {
	KUNIT_CASE(test_import_fails),
	KUNIT_CASE(test_import_keeps_planes),
	KUNIT_CASE(test_userptr_keeps_planes),
	KUNIT_CASE(test_import_forgets_timestamp),
	KUNIT_CASE(test_plane_sizes),
	KUNIT_CASE(test_payload),
	KUNIT_CASE(test_payload_planes),
	KUNIT_CASE(test_cache_hints),
	KUNIT_CASE(test_remove_prepared),
	KUNIT_CASE(test_start_fails),
	{}
};

static struct kunit_suite videobuf2_test_suite = {
	.name = "videobuf2",
	.test_cases = videobuf2_cases,
};

kunit_test_suite(videobuf2_test_suite);

MODULE_DESCRIPTION("KUnit tests for videobuf2");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
