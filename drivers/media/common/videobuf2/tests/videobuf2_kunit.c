// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for videobuf2: a queue without hardware, with an allocator and a
 * driver that only count what they are called for.
 */

#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/iosys-map.h>
#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/videodev2.h>
#include <media/media-device.h>
#include <media/media-request.h>
#include <media/v4l2-dev.h>
#include <media/v4l2-device.h>
#include <media/v4l2-fh.h>
#include <media/v4l2-ioctl.h>
#include <media/videobuf2-core.h>
#include <media/videobuf2-v4l2.h>
#include <media/videobuf2-vmalloc.h>

#define MAX_PLANES	2
#define MAX_DMABUFS	2

/* how large the driver wants each plane to be at least */
#define MIN_SIZE	SZ_4K
#define SMALL		SZ_8K
#define LARGE		SZ_64K

struct mock {
	struct kunit *test;
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

	/*
	 * The CPU's access: how much is open, how often it was begun and in
	 * which direction, and what went wrong. Asked of the allocator, or of
	 * the exporter when the allocator is a real one.
	 */
	int accessed;
	int begun;
	enum dma_data_direction access_dir;
	int begin_errors_after;
	int begin_error;
	bool left_open;
	int misused;

	/* and the driver */
	int initialised;
	int init_error;
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
	bool accessed;
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

	if (mem->accessed)
		mem->mock->misused++;
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
	struct mock_mem *mem = priv;

	if (mem->accessed)
		mem->mock->misused++;
	mem->mock->mapped--;
}

static void mock_prepare(void *priv)
{
	((struct mock_mem *)priv)->mock->prepared++;
}

static void mock_finish(void *priv)
{
	((struct mock_mem *)priv)->mock->prepared--;
}

/* Begins an access, to something that others may access, too */
static int mock_begin(struct mock *mock, enum dma_data_direction dir)
{
	if (irqs_disabled())
		mock->misused++;
	might_sleep();

	if (mock->begin_error && mock->accessed >= mock->begin_errors_after)
		return mock->begin_error;
	mock->accessed++;
	mock->begun++;
	mock->access_dir = dir;

	return 0;
}

static void mock_end(struct mock *mock, enum dma_data_direction dir)
{
	if (irqs_disabled() || dir != mock->access_dir)
		mock->misused++;
	/* only what is left open is ended when the memory goes */
	if (mutex_is_locked(&mock->q.mmap_lock) && !mock->left_open)
		mock->misused++;
	might_sleep();

	mock->accessed--;
}

static int mock_begin_cpu_access(void *priv, enum dma_data_direction dir)
{
	struct mock_mem *mem = priv;
	int ret;

	if (mem->accessed)
		mem->mock->misused++;
	ret = mock_begin(mem->mock, dir);
	mem->accessed = !ret;

	return ret;
}

static void mock_end_cpu_access(void *priv, enum dma_data_direction dir)
{
	struct mock_mem *mem = priv;

	if (!mem->accessed)
		mem->mock->misused++;
	mem->accessed = false;
	mock_end(mem->mock, dir);
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
	.begin_cpu_access = mock_begin_cpu_access,
	.end_cpu_access = mock_end_cpu_access,
	.cpu_access = true,
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

/* The driver may access the planes now. */
static void mock_expect_access(struct vb2_buffer *vb)
{
	struct mock *mock = to_mock(vb);
	unsigned int i;

	if (mock->q.mem_ops != &mock_mem_ops || !vb2_queue_cpu_access(&mock->q))
		return;
	for (i = 0; i < vb->num_planes; i++)
		if (!((struct mock_mem *)vb->planes[i].mem_priv)->accessed)
			mock->misused++;
}

static int mock_buf_init(struct vb2_buffer *vb)
{
	struct mock *mock = to_mock(vb);

	if (vb->memory != VB2_MEMORY_MMAP)
		mock_expect_access(vb);
	if (!mock->init_error)
		mock->initialised++;

	return mock->init_error;
}

static void mock_buf_cleanup(struct vb2_buffer *vb)
{
	to_mock(vb)->initialised--;
}

static int mock_buf_prepare(struct vb2_buffer *vb)
{
	struct mock *mock = to_mock(vb);

	mock_expect_access(vb);
	if (!mock->prepare_error)
		mock->buf_prepared++;

	return mock->prepare_error;
}

static void mock_buf_finish(struct vb2_buffer *vb)
{
	struct mock *mock = to_mock(vb);

	mock_expect_access(vb);
	/* drivers may take locks that must not nest within this one */
	if (mutex_is_locked(&mock->q.mmap_lock))
		mock->misused++;
	mock->buf_prepared--;
}

static void mock_buf_queue(struct vb2_buffer *vb)
{
}

/* Gives back all buffers, in @state, as an interrupt handler would do it */
static void mock_return(struct vb2_queue *q, enum vb2_buffer_state state)
{
	unsigned long flags;
	unsigned int i;

	local_irq_save(flags);
	for (i = 0; i < q->max_num_buffers; i++) {
		struct vb2_buffer *vb = vb2_get_buffer(q, i);

		if (vb && vb->state == VB2_BUF_STATE_ACTIVE)
			vb2_buffer_done(vb, state);
	}
	local_irq_restore(flags);
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

static int mock_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	/* nobody looks at what is there, but a page it has to be */
	iosys_map_set_vaddr(map, PTR_ALIGN_DOWN(dmabuf, PAGE_SIZE));

	return 0;
}

static void mock_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct mock *mock = dmabuf->priv;

	if (mock->accessed)
		mock->misused++;
}

static int mock_dma_buf_begin(struct dma_buf *dmabuf,
			      enum dma_data_direction dir)
{
	return mock_begin(dmabuf->priv, dir);
}

static int mock_dma_buf_end(struct dma_buf *dmabuf,
			    enum dma_data_direction dir)
{
	mock_end(dmabuf->priv, dir);

	return 0;
}

static void mock_release(struct dma_buf *dmabuf)
{
}

static const struct dma_buf_ops mock_dma_buf_ops = {
	.map_dma_buf = mock_map_dma_buf,
	.unmap_dma_buf = mock_unmap_dma_buf,
	.vmap = mock_vmap,
	.vunmap = mock_vunmap,
	.begin_cpu_access = mock_dma_buf_begin,
	.end_cpu_access = mock_dma_buf_end,
	.release = mock_release,
};

static void mock_close(void *data)
{
	struct mock *mock = data;
	unsigned int i;

	vb2_queue_release(&mock->q);
	KUNIT_EXPECT_EQ(mock->test, mock->attached, 0);
	KUNIT_EXPECT_EQ(mock->test, mock->mapped, 0);
	KUNIT_EXPECT_EQ(mock->test, mock->accessed, 0);
	KUNIT_EXPECT_EQ(mock->test, mock->misused, 0);
	for (i = 0; i < mock->num_dmabufs; i++)
		close_fd(mock->fd[i]);
}

static struct mock *mock_open_ops(struct kunit *test, enum v4l2_buf_type type,
				  enum v4l2_memory memory,
				  const struct vb2_mem_ops *mem_ops)
{
	struct v4l2_requestbuffers req = {
		.count = 1, .type = type, .memory = memory,
	};
	struct mock *mock;

	mock = kunit_kzalloc(test, sizeof(*mock), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mock);

	mock->test = test;
	mutex_init(&mock->lock);
	mock->num_planes = V4L2_TYPE_IS_MULTIPLANAR(type) ? MAX_PLANES : 1;
	mock->q.type = type;
	mock->q.io_modes = VB2_MMAP | VB2_USERPTR | VB2_DMABUF;
	mock->q.ops = &mock_qops;
	mock->q.mem_ops = mem_ops;
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

/* A queue of @type with one buffer of @memory. */
static struct mock *mock_open(struct kunit *test, enum v4l2_buf_type type,
			      enum v4l2_memory memory)
{
	return mock_open_ops(test, type, memory, &mock_mem_ops);
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

static int dqbuf(struct mock *mock)
{
	struct v4l2_plane planes[MAX_PLANES] = { };
	struct v4l2_buffer b = {
		.type = mock->q.type, .memory = mock->q.memory,
	};

	if (mock->num_planes > 1) {
		b.m.planes = planes;
		b.length = mock->num_planes;
	}

	return vb2_dqbuf(&mock->q, &b, true);
}

/* Takes back what is queued; the queue keeps knowing its planes. */
static void cancel(struct kunit *test, struct mock *mock)
{
	KUNIT_EXPECT_EQ(test, 0, vb2_streamoff(&mock->q, mock->q.type));
	KUNIT_EXPECT_EQ(test, mock->prepared, 0);
	KUNIT_EXPECT_EQ(test, mock->buf_prepared, 0);
	KUNIT_EXPECT_EQ(test, mock->accessed, 0);
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

static const enum v4l2_memory memories[] = {
	V4L2_MEMORY_MMAP, V4L2_MEMORY_USERPTR, V4L2_MEMORY_DMABUF,
};

/* The CPU's access lasts from QBUF to DQBUF, each time. */
static void test_access(struct kunit *test)
{
	struct plane plane = { .length = MIN_SIZE };
	struct mock *mock;
	int i;

	for (i = 0; i < ARRAY_SIZE(memories); i++) {
		mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				 memories[i]);
		mock_export(test, mock, SMALL);
		plane.fd = mock->fd[0];

		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
		KUNIT_EXPECT_EQ(test, mock->accessed, 1);
		KUNIT_EXPECT_EQ(test, 0, vb2_streamon(&mock->q, mock->q.type));
		KUNIT_EXPECT_EQ(test, mock->begun, 1);
		mock_return(&mock->q, VB2_BUF_STATE_DONE);
		KUNIT_EXPECT_EQ(test, mock->accessed, 1);
		KUNIT_EXPECT_EQ(test, 0, dqbuf(mock));
		KUNIT_EXPECT_EQ(test, mock->accessed, 0);

		/* with an error, and with what the buffer knows already */
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
		KUNIT_EXPECT_EQ(test, mock->accessed, 1);
		KUNIT_EXPECT_EQ(test, mock->begun, 2);
		mock_return(&mock->q, VB2_BUF_STATE_ERROR);
		KUNIT_EXPECT_EQ(test, 0, dqbuf(mock));
		KUNIT_EXPECT_EQ(test, mock->accessed, 0);
		KUNIT_EXPECT_EQ(test, mock->attached, 1);

		/* prepared beforehand */
		KUNIT_EXPECT_EQ(test, 0, prepare_buf(mock, &plane));
		KUNIT_EXPECT_EQ(test, mock->accessed, 1);
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
		KUNIT_EXPECT_EQ(test, mock->accessed, 1);
		KUNIT_EXPECT_EQ(test, mock->begun, 3);
		mock_return(&mock->q, VB2_BUF_STATE_DONE);
		KUNIT_EXPECT_EQ(test, 0, dqbuf(mock));
		KUNIT_EXPECT_EQ(test, mock->accessed, 0);
		KUNIT_EXPECT_EQ(test, mock->begun, 3);
	}
}

/* dma-buf's direction is that of the devices on the other side. */
static void test_access_direction(struct kunit *test)
{
	struct plane plane = { .length = MIN_SIZE };
	struct mock *mock;

	mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_MEMORY_MMAP);
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, mock->access_dir, DMA_BIDIRECTIONAL);

	mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_MEMORY_MMAP);
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, mock->access_dir, DMA_FROM_DEVICE);
	cancel(test, mock);

	/* as for a queue that is initialised with bidirectional set */
	mock->q.dma_dir = DMA_BIDIRECTIONAL;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, mock->access_dir, DMA_BIDIRECTIONAL);
}

/* What is queued, in any state, is finished by what cancels the queue. */
static void test_access_cancelled(struct kunit *test)
{
	struct plane plane = { .length = MIN_SIZE };
	struct mock *mock;
	int i;

	for (i = 0; i < ARRAY_SIZE(memories); i++) {
		mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				 memories[i]);
		mock_export(test, mock, SMALL);
		plane.fd = mock->fd[0];

		/* prepared, queued, given to the driver, done */
		KUNIT_EXPECT_EQ(test, 0, prepare_buf(mock, &plane));
		KUNIT_EXPECT_EQ(test, mock->accessed, 1);
		cancel(test, mock);
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
		KUNIT_EXPECT_EQ(test, mock->accessed, 1);
		cancel(test, mock);
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
		KUNIT_EXPECT_EQ(test, 0, vb2_streamon(&mock->q, mock->q.type));
		KUNIT_EXPECT_EQ(test, mock->accessed, 1);
		cancel(test, mock);
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
		KUNIT_EXPECT_EQ(test, 0, vb2_streamon(&mock->q, mock->q.type));
		mock_return(&mock->q, VB2_BUF_STATE_DONE);
		KUNIT_EXPECT_EQ(test, mock->accessed, 1);
		cancel(test, mock);
		KUNIT_EXPECT_EQ(test, mock->begun, 4);
	}
}

/* A node for the queue, which goes before its file is closed. */
struct mock_node {
	struct v4l2_device v4l2_dev;
	struct video_device vdev;
	struct completion released;
};

static const struct v4l2_file_operations mock_fops = {
	.owner = THIS_MODULE,
	.open = v4l2_fh_open,
	.release = v4l2_fh_release,
};

static const struct v4l2_ioctl_ops mock_ioctl_ops = { };

static void mock_node_release(struct v4l2_device *v4l2_dev)
{
	complete(&container_of(v4l2_dev, struct mock_node, v4l2_dev)->released);
}

static struct mock_node *mock_register(struct kunit *test, struct mock *mock,
				       struct device *dev)
{
	struct mock_node *node;
	int ret;

	node = kunit_kzalloc(test, sizeof(*node), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, node);
	init_completion(&node->released);
	node->v4l2_dev.release = mock_node_release;
	strscpy(node->v4l2_dev.name, "videobuf2");
	KUNIT_ASSERT_EQ(test, 0, v4l2_device_register(dev, &node->v4l2_dev));

	strscpy(node->vdev.name, "videobuf2");
	node->vdev.v4l2_dev = &node->v4l2_dev;
	node->vdev.fops = &mock_fops;
	node->vdev.ioctl_ops = &mock_ioctl_ops;
	node->vdev.release = video_device_release_empty;
	node->vdev.device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
	node->vdev.lock = &mock->lock;
	node->vdev.queue = &mock->q;
	ret = video_register_device(&node->vdev, VFL_TYPE_VIDEO, -1);
	if (ret)
		v4l2_device_unregister(&node->v4l2_dev);
	KUNIT_ASSERT_EQ(test, 0, ret);

	return node;
}

static void mock_unregister(struct mock_node *node)
{
	vb2_video_unregister_device(&node->vdev);
	v4l2_device_unregister(&node->v4l2_dev);
	/* who opens each new node may still have it open */
	v4l2_device_put(&node->v4l2_dev);
	wait_for_completion(&node->released);
}

enum way_out { CLOSE, FREE, UNREGISTER, WAYS_OUT };

/* Takes a queue away from its buffer, which is in one of four states. */
static void release_queue(struct kunit *test, struct device *dev,
			  enum v4l2_memory memory, int state, enum way_out way)
{
	struct v4l2_requestbuffers req = { .memory = memory };
	struct plane plane = { .length = MIN_SIZE };
	struct mock_node *node = NULL;
	struct mock *mock;

	mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE, memory);
	mock_export(test, mock, SMALL);
	plane.fd = mock->fd[0];
	if (way == UNREGISTER)
		node = mock_register(test, mock, dev);

	/* prepared, queued, given to the driver, done */
	if (state == 0)
		KUNIT_EXPECT_EQ(test, 0, prepare_buf(mock, &plane));
	else
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	if (state >= 2)
		KUNIT_EXPECT_EQ(test, 0, vb2_streamon(&mock->q, mock->q.type));
	if (state == 3)
		mock_return(&mock->q, VB2_BUF_STATE_DONE);
	KUNIT_EXPECT_EQ(test, mock->accessed, 1);

	switch (way) {
	case CLOSE:
		vb2_queue_release(&mock->q);
		break;
	case FREE:
		req.type = mock->q.type;
		KUNIT_EXPECT_EQ(test, 0, vb2_reqbufs(&mock->q, &req));
		break;
	default:
		mock_unregister(node);
	}
	KUNIT_EXPECT_EQ(test, mock->accessed, 0);
	KUNIT_EXPECT_EQ(test, mock->mapped, 0);
	KUNIT_EXPECT_EQ(test, mock->attached, 0);
	KUNIT_EXPECT_EQ(test, mock->initialised, 0);
	KUNIT_EXPECT_EQ(test, mock->buf_prepared, 0);
}

/*
 * The same when the file is closed, all buffers are freed, or the device goes;
 * and nothing is left for a file that is closed after that, see mock_close().
 */
static void test_access_released(struct kunit *test)
{
	int i, state, way;
	struct device *dev;

	dev = kunit_device_register(test, "videobuf2");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	for (i = 0; i < ARRAY_SIZE(memories); i++)
		for (state = 0; state < 4; state++)
			for (way = 0; way < WAYS_OUT; way++)
				/* what streams cannot be freed */
				if (way != FREE || state < 2)
					release_queue(test, dev, memories[i],
						      state, way);
}

/* A buffer that is removed is not accessed any more. */
static void test_access_removed(struct kunit *test)
{
	struct plane plane = { .length = MIN_SIZE };
	struct mock *mock;
	int i;

	for (i = 0; i < ARRAY_SIZE(memories); i++) {
		mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				 memories[i]);
		mock_export(test, mock, SMALL);
		plane.fd = mock->fd[0];

		KUNIT_EXPECT_EQ(test, 0, prepare_buf(mock, &plane));
		KUNIT_EXPECT_EQ(test, mock->accessed, 1);
		KUNIT_EXPECT_EQ(test, 0, vb2_core_remove_bufs(&mock->q, 0, 1));
		KUNIT_EXPECT_EQ(test, mock->accessed, 0);
		KUNIT_EXPECT_EQ(test, mock->attached, 0);
	}
}

/* Nor is one that the driver does not want. */
static void test_access_refused(struct kunit *test)
{
	struct plane plane = { .length = MIN_SIZE };
	struct mock *mock;
	int i, known;

	for (i = 0; i < ARRAY_SIZE(memories); i++) {
		mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				 memories[i]);
		mock_export(test, mock, SMALL);
		plane.fd = mock->fd[0];

		if (memories[i] != V4L2_MEMORY_MMAP) {
			mock->init_error = -ENOMEM;
			KUNIT_EXPECT_EQ(test, -ENOMEM, qbuf(mock, &plane));
			KUNIT_EXPECT_EQ(test, mock->begun, 1);
			KUNIT_EXPECT_EQ(test, mock->accessed, 0);
			KUNIT_EXPECT_EQ(test, mock->attached, 0);
			mock->init_error = 0;
		}

		for (known = 0; known < 2; known++) {
			mock->begun = 0;
			mock->prepare_error = -EIO;
			KUNIT_EXPECT_EQ(test, -EIO, qbuf(mock, &plane));
			KUNIT_EXPECT_EQ(test, -EIO, prepare_buf(mock, &plane));
			KUNIT_EXPECT_EQ(test, mock->begun, 2);
			KUNIT_EXPECT_EQ(test, mock->accessed, 0);
			mock->prepare_error = 0;

			KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
			KUNIT_EXPECT_EQ(test, mock->accessed, 1);
			cancel(test, mock);
		}
	}
}

/* If the access cannot begin, a buffer keeps what it had, and no more. */
static void test_access_fails(struct kunit *test)
{
	static const int errors[] = { -EINTR, -EIO };
	struct plane plane = { .length = MIN_SIZE };
	struct vb2_buffer *vb;
	struct mock *mock;
	int i, j, had;

	for (i = 0; i < ARRAY_SIZE(memories); i++) {
		mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				 memories[i]);
		vb = vb2_get_buffer(&mock->q, 0);
		mock_export(test, mock, SMALL);
		plane.fd = mock->fd[0];

		for (had = 0; had < 2; had++) {
			int attached = mock->attached;
			long refs = references(mock, 0);
			int mapped = mock->mapped;
			int initialised = mock->initialised;

			for (j = 0; j < ARRAY_SIZE(errors); j++) {
				mock->begin_error = errors[j];
				KUNIT_EXPECT_EQ(test, errors[j],
						qbuf(mock, &plane));
				KUNIT_EXPECT_EQ(test, errors[j],
						prepare_buf(mock, &plane));
				KUNIT_EXPECT_EQ(test, vb->state,
						VB2_BUF_STATE_DEQUEUED);
				KUNIT_EXPECT_FALSE(test, vb->prepared);
				KUNIT_EXPECT_EQ(test, mock->accessed, 0);
				KUNIT_EXPECT_EQ(test, mock->attached, attached);
				KUNIT_EXPECT_EQ(test, mock->mapped, mapped);
				KUNIT_EXPECT_EQ(test, references(mock, 0),
						refs);
				KUNIT_EXPECT_EQ(test, mock->initialised,
						initialised);
				KUNIT_EXPECT_EQ(test, mock->buf_prepared, 0);
				KUNIT_EXPECT_EQ(test, mock->prepared, 0);
			}

			mock->begin_error = 0;
			KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
			KUNIT_EXPECT_EQ(test, mock->attached, 1);
			KUNIT_EXPECT_EQ(test, mock->initialised, 1);
			cancel(test, mock);
		}
	}
}

/* Each plane has an access of its own, and those that had it give it back. */
static void test_access_planes(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
				      V4L2_MEMORY_DMABUF);
	struct plane plane[MAX_PLANES] = { };
	int had;

	mock_export(test, mock, SMALL);
	mock_export(test, mock, SMALL);
	plane[0].fd = mock->fd[0];
	plane[1].fd = mock->fd[1];

	for (had = 0; had < 2; had++) {
		mock->begun = 0;
		mock->begin_error = -EIO;
		mock->begin_errors_after = 1;
		KUNIT_EXPECT_EQ(test, -EIO, qbuf(mock, plane));
		KUNIT_EXPECT_EQ(test, mock->begun, 1);
		KUNIT_EXPECT_EQ(test, mock->accessed, 0);
		KUNIT_EXPECT_EQ(test, mock->attached, had ? 2 : 0);
		KUNIT_EXPECT_EQ(test, mock->mapped, had ? 2 : 0);
		mock->begin_error = 0;

		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, plane));
		KUNIT_EXPECT_EQ(test, mock->accessed, 2);
		cancel(test, mock);
	}
}

/* Planes that share a dma-buf and its attachment are accessed once. */
static void test_access_duplicated(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
				      V4L2_MEMORY_DMABUF);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane plane[MAX_PLANES] = { };
	struct device *dev;

	mock_export(test, mock, SMALL);
	plane[0].fd = mock->fd[0];
	plane[1].fd = mock->fd[0];

	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, mock->accessed, 1);
	KUNIT_EXPECT_EQ(test, mock->attached, 1);

	/* also if the driver asks for it, by any of them */
	KUNIT_EXPECT_EQ(test, 0, vb2_plane_begin_cpu_access(vb, 1));
	vb2_plane_end_cpu_access(vb, 1);
	KUNIT_EXPECT_EQ(test, mock->accessed, 1);
	cancel(test, mock);
	KUNIT_EXPECT_EQ(test, 0, vb2_plane_begin_cpu_access(vb, 1));
	KUNIT_EXPECT_EQ(test, mock->accessed, 1);
	KUNIT_EXPECT_EQ(test, 0, vb2_plane_begin_cpu_access(vb, 0));
	vb2_plane_end_cpu_access(vb, 1);
	KUNIT_EXPECT_EQ(test, mock->accessed, 1);
	vb2_plane_end_cpu_access(vb, 0);
	KUNIT_EXPECT_EQ(test, mock->accessed, 0);
	KUNIT_EXPECT_EQ(test, mock->begun, 2);

	/* two devices are two attachments */
	dev = kunit_device_register(test, "videobuf2");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	vb2_queue_release(&mock->q);
	mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
			 V4L2_MEMORY_DMABUF);
	mock_export(test, mock, SMALL);
	plane[0].fd = mock->fd[0];
	plane[1].fd = mock->fd[0];
	mock->q.alloc_devs[1] = dev;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, mock->accessed, 2);
	KUNIT_EXPECT_EQ(test, mock->attached, 2);
	cancel(test, mock);
}

/* A start that fails in QBUF takes the buffer back, in STREAMON it does not. */
static void test_access_start_fails(struct kunit *test)
{
	struct plane plane = { .length = MIN_SIZE };
	struct mock *mock;
	int i;

	for (i = 0; i < ARRAY_SIZE(memories); i++) {
		mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				 memories[i]);
		mock_export(test, mock, SMALL);
		plane.fd = mock->fd[0];

		mock->start_error = -EIO;
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
		KUNIT_EXPECT_EQ(test, -EIO,
				vb2_streamon(&mock->q, mock->q.type));
		KUNIT_EXPECT_EQ(test, mock->accessed, 1);
		cancel(test, mock);

		mock->q.min_queued_buffers = 1;
		KUNIT_EXPECT_EQ(test, 0, vb2_streamon(&mock->q, mock->q.type));
		KUNIT_EXPECT_EQ(test, -EIO, qbuf(mock, &plane));
		KUNIT_EXPECT_EQ(test, mock->accessed, 0);
		mock->start_error = 0;
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
		KUNIT_EXPECT_EQ(test, mock->accessed, 1);
		cancel(test, mock);
		KUNIT_EXPECT_EQ(test, mock->begun, 3);
	}
}

/* Where a device accesses the buffers nothing is done. */
static void test_access_opt_out(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_DMABUF);
	static struct vb2_mem_ops mem_ops;
	struct plane plane = { };

	mock_export(test, mock, SMALL);
	plane.fd = mock->fd[0];

	/* the driver says so */
	mock->q.no_cpu_access = 1;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	cancel(test, mock);
	KUNIT_EXPECT_EQ(test, mock->begun, 0);
	vb2_queue_release(&mock->q);

	/* the allocator does */
	mem_ops = mock_mem_ops;
	mem_ops.cpu_access = false;
	mock = mock_open_ops(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
			     V4L2_MEMORY_DMABUF, &mem_ops);
	mock_export(test, mock, SMALL);
	plane.fd = mock->fd[0];
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	cancel(test, mock);
	KUNIT_EXPECT_EQ(test, mock->begun, 0);
	vb2_queue_release(&mock->q);
}

/* A driver can access a plane where videobuf2 does not do it. */
static void test_plane_access(struct kunit *test)
{
	struct plane plane = { .length = MIN_SIZE };
	struct vb2_buffer *vb;
	struct mock *mock;
	int i;

	for (i = 0; i < ARRAY_SIZE(memories); i++) {
		mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				 memories[i]);
		vb = vb2_get_buffer(&mock->q, 0);
		mock_export(test, mock, SMALL);
		plane.fd = mock->fd[0];
		mock->q.no_cpu_access = 1;

		/* no such plane, or nothing in it */
		KUNIT_EXPECT_EQ(test, -EINVAL,
				vb2_plane_begin_cpu_access(vb, 1));
		if (memories[i] != V4L2_MEMORY_MMAP)
			KUNIT_EXPECT_EQ(test, -EINVAL,
					vb2_plane_begin_cpu_access(vb, 0));

		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
		KUNIT_EXPECT_EQ(test, 0, vb2_streamon(&mock->q, mock->q.type));
		KUNIT_EXPECT_EQ(test, 0, vb2_plane_begin_cpu_access(vb, 0));
		KUNIT_EXPECT_EQ(test, mock->accessed, 1);
		KUNIT_EXPECT_EQ(test, 0, vb2_plane_begin_cpu_access(vb, 0));
		vb2_plane_end_cpu_access(vb, 0);
		KUNIT_EXPECT_EQ(test, mock->accessed, 1);
		KUNIT_EXPECT_EQ(test, mock->begun, 1);
		vb2_plane_end_cpu_access(vb, 0);
		KUNIT_EXPECT_EQ(test, mock->accessed, 0);

		mock->begin_error = -EINTR;
		KUNIT_EXPECT_EQ(test, -EINTR,
				vb2_plane_begin_cpu_access(vb, 0));
		mock->begin_error = 0;
		KUNIT_EXPECT_EQ(test, mock->accessed, 0);

		/* user space owns it, but it is a reference */
		mock_return(&mock->q, VB2_BUF_STATE_DONE);
		KUNIT_EXPECT_EQ(test, 0, dqbuf(mock));
		KUNIT_EXPECT_EQ(test, 0, vb2_plane_begin_cpu_access(vb, 0));
		KUNIT_EXPECT_EQ(test, mock->accessed, 1);
		vb2_plane_end_cpu_access(vb, 0);
		KUNIT_EXPECT_EQ(test, mock->accessed, 0);
		vb2_queue_release(&mock->q);
	}
}

/* Within videobuf2's access, or overlapping it, a driver's does nothing. */
static void test_plane_access_nests(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_DMABUF);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane plane = { };

	mock_export(test, mock, SMALL);
	plane.fd = mock->fd[0];

	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, 0, vb2_plane_begin_cpu_access(vb, 0));
	vb2_plane_end_cpu_access(vb, 0);
	KUNIT_EXPECT_EQ(test, mock->accessed, 1);
	KUNIT_EXPECT_EQ(test, mock->begun, 1);

	/* the driver's is the longer one, from one QBUF to the next */
	KUNIT_EXPECT_EQ(test, 0, vb2_plane_begin_cpu_access(vb, 0));
	KUNIT_EXPECT_EQ(test, 0, vb2_streamoff(&mock->q, mock->q.type));
	KUNIT_EXPECT_EQ(test, mock->accessed, 1);
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, mock->begun, 1);
	vb2_plane_end_cpu_access(vb, 0);
	KUNIT_EXPECT_EQ(test, mock->accessed, 1);
	cancel(test, mock);
}

/* What a driver does not end is ended before the memory goes. */
static void test_plane_access_left_open(struct kunit *test)
{
	struct plane plane = { .length = MIN_SIZE };
	struct v4l2_requestbuffers req = { };
	struct vb2_buffer *vb;
	struct mock *mock;
	int i, how;

	for (i = 0; i < ARRAY_SIZE(memories); i++) {
		for (how = 0; how < 3; how++) {
			mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
					 memories[i]);
			vb = vb2_get_buffer(&mock->q, 0);
			mock_export(test, mock, SMALL);
			mock_export(test, mock, SMALL);
			plane.fd = mock->fd[0];

			KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
			KUNIT_EXPECT_EQ(test, 0,
					vb2_plane_begin_cpu_access(vb, 0));
			KUNIT_EXPECT_EQ(test, 0,
					vb2_plane_begin_cpu_access(vb, 0));
			KUNIT_EXPECT_EQ(test, 0, vb2_streamoff(&mock->q,
							       mock->q.type));
			KUNIT_EXPECT_EQ(test, mock->accessed, 1);
			mock->left_open = true;

			req.type = mock->q.type;
			req.memory = memories[i];
			if (how == 0) {
				vb2_queue_release(&mock->q);
			} else if (how == 1) {
				KUNIT_EXPECT_EQ(test, 0,
						vb2_reqbufs(&mock->q, &req));
			} else {
				/* queued with something else in its place */
				plane.fd = mock->fd[1];
				plane.length = SMALL;
				KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
				plane.length = MIN_SIZE;
				if (memories[i] == V4L2_MEMORY_MMAP)
					vb2_queue_release(&mock->q);
				else
					cancel(test, mock);
			}
			KUNIT_EXPECT_EQ(test, mock->accessed, 0);
		}
	}
}

#ifdef CONFIG_MEDIA_CONTROLLER
static void mock_request_init(struct media_request *req,
			      struct media_device *mdev)
{
	req->mdev = mdev;
	req->state = MEDIA_REQUEST_STATE_IDLE;
	kref_init(&req->kref);
	INIT_LIST_HEAD(&req->objects);
	spin_lock_init(&req->lock);
	init_waitqueue_head(&req->poll_wait);
}

/* Queues the buffer for a request, with the dma-buf @fd. */
static int qbuf_request(struct mock *mock, struct media_request *req, int fd)
{
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);

	to_vb2_v4l2_buffer(vb)->planes[0].m.fd = fd;

	return vb2_core_qbuf(&mock->q, vb, NULL, req);
}
#endif

/* A buffer of a request is accessed from when that is queued. */
static void test_access_request(struct kunit *test)
{
#ifdef CONFIG_MEDIA_CONTROLLER
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_DMABUF);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct media_device *mdev;
	struct media_request *req;

	mdev = kunit_kzalloc(test, sizeof(*mdev), GFP_KERNEL);
	req = kunit_kzalloc(test, sizeof(*req), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mdev);
	KUNIT_ASSERT_NOT_NULL(test, req);
	mock->q.supports_requests = 1;
	mock_export(test, mock, SMALL);

	/* the request is not queued, because of another object in it */
	mock_request_init(req, mdev);
	KUNIT_ASSERT_EQ(test, 0, qbuf_request(mock, req, mock->fd[0]));
	KUNIT_EXPECT_EQ(test, mock->accessed, 0);
	KUNIT_EXPECT_EQ(test, 0, vb->req_obj.ops->prepare(&vb->req_obj));
	KUNIT_EXPECT_EQ(test, mock->accessed, 1);
	vb->req_obj.ops->unprepare(&vb->req_obj);
	KUNIT_EXPECT_EQ(test, mock->accessed, 0);
	KUNIT_EXPECT_EQ(test, vb->state, VB2_BUF_STATE_IN_REQUEST);

	/* the access cannot begin */
	mock->begin_error = -EINTR;
	KUNIT_EXPECT_EQ(test, -EINTR, vb->req_obj.ops->prepare(&vb->req_obj));
	KUNIT_EXPECT_EQ(test, vb->state, VB2_BUF_STATE_IN_REQUEST);
	KUNIT_EXPECT_EQ(test, mock->accessed, 0);
	KUNIT_EXPECT_EQ(test, mock->attached, 1);
	mock->begin_error = 0;

	/* it is queued, done, and dequeued */
	KUNIT_EXPECT_EQ(test, 0, vb->req_obj.ops->prepare(&vb->req_obj));
	vb->req_obj.ops->queue(&vb->req_obj);
	KUNIT_EXPECT_EQ(test, mock->accessed, 1);
	KUNIT_EXPECT_EQ(test, 0, vb2_streamon(&mock->q, mock->q.type));
	mock_return(&mock->q, VB2_BUF_STATE_DONE);
	KUNIT_EXPECT_EQ(test, mock->accessed, 1);
	KUNIT_EXPECT_EQ(test, 0, dqbuf(mock));
	KUNIT_EXPECT_EQ(test, mock->accessed, 0);

	/* it is queued, and cancelled */
	mock_request_init(req, mdev);
	KUNIT_ASSERT_EQ(test, 0, qbuf_request(mock, req, mock->fd[0]));
	KUNIT_EXPECT_EQ(test, 0, vb->req_obj.ops->prepare(&vb->req_obj));
	vb->req_obj.ops->queue(&vb->req_obj);
	KUNIT_EXPECT_EQ(test, mock->accessed, 1);
	cancel(test, mock);

	/* it is prepared when the queue goes */
	mock_request_init(req, mdev);
	KUNIT_ASSERT_EQ(test, 0, qbuf_request(mock, req, mock->fd[0]));
	KUNIT_EXPECT_EQ(test, 0, vb->req_obj.ops->prepare(&vb->req_obj));
	KUNIT_EXPECT_EQ(test, mock->accessed, 1);
	vb2_queue_release(&mock->q);
	KUNIT_EXPECT_EQ(test, mock->accessed, 0);
#else
	kunit_skip(test, "there are no requests");
#endif
}

/* videobuf2-vmalloc has the exporter told of each access. */
static void test_vmalloc_import(struct kunit *test)
{
	struct mock *mock = mock_open_ops(test,
					  V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
					  V4L2_MEMORY_DMABUF,
					  &vb2_vmalloc_memops);
	struct plane plane[MAX_PLANES] = { };
	int i;

	mock_export(test, mock, SMALL);
	mock_export(test, mock, SMALL);
	plane[0].fd = mock->fd[0];
	plane[1].fd = mock->fd[1];

	mock->begin_error = -EINTR;
	mock->begin_errors_after = 1;
	KUNIT_EXPECT_EQ(test, -EINTR, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, mock->accessed, 0);
	KUNIT_EXPECT_EQ(test, references(mock, 0), 1);
	KUNIT_EXPECT_EQ(test, references(mock, 1), 1);
	mock->begin_error = 0;
	mock->begun = 0;

	KUNIT_EXPECT_EQ(test, 0, vb2_streamon(&mock->q, mock->q.type));
	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, plane));
		KUNIT_EXPECT_EQ(test, mock->accessed, 2);
		KUNIT_EXPECT_EQ(test, mock->access_dir, DMA_BIDIRECTIONAL);
		mock_return(&mock->q, VB2_BUF_STATE_DONE);
		KUNIT_EXPECT_EQ(test, 0, dqbuf(mock));
		KUNIT_EXPECT_EQ(test, mock->accessed, 0);
	}
	KUNIT_EXPECT_EQ(test, mock->begun, 6);

	/* one dma-buf for both planes, and the queue is closed with it */
	plane[1].fd = mock->fd[0];
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, mock->accessed, 1);
	vb2_queue_release(&mock->q);
	KUNIT_EXPECT_EQ(test, mock->accessed, 0);
	KUNIT_EXPECT_EQ(test, references(mock, 0), 1);
}

/* dma_to_phys() is not for modules everywhere, nor has each page an address. */
#if defined(CONFIG_SWIOTLB) && !defined(CONFIG_HIGHMEM) && \
	!defined(CONFIG_ARCH_HAS_PHYS_TO_DMA)
#define HAVE_DEVICE_VIEW
#endif

#ifdef HAVE_DEVICE_VIEW
static int mock_expbuf(struct mock *mock)
{
	struct v4l2_exportbuffer e = { .type = mock->q.type, .flags = O_RDWR };

	if (vb2_expbuf(&mock->q, &e))
		return -1;

	return e.fd;
}

static void put_attachment(void *data)
{
	struct dma_buf_attachment *attach = data;
	struct dma_buf *dmabuf = attach->dmabuf;

	dma_buf_detach(dmabuf, attach);
	dma_buf_put(dmabuf);
}

/* Has a device import the dma-buf @fd; that closes it. */
static struct dma_buf_attachment *mock_import(struct kunit *test, int fd)
{
	struct dma_buf_attachment *attach;
	struct dma_buf *dmabuf;
	struct device *dev;

	dev = kunit_device_register(test, "videobuf2");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	KUNIT_ASSERT_EQ(test, 0,
			dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64)));

	dmabuf = dma_buf_get(fd);
	close_fd(fd);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dmabuf);
	attach = dma_buf_attach(dmabuf, dev);
	if (IS_ERR(attach))
		dma_buf_put(dmabuf);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_attachment,
							   attach));

	return attach;
}

/* What the device sees at the address it was given */
static u8 *device_view(struct dma_buf_attachment *attach, struct sg_table *sgt)
{
	return phys_to_virt(dma_to_phys(attach->dev,
					sg_dma_address(sgt->sgl)));
}

/* Maps the buffer for a device that does not see the pages themselves. */
static struct sg_table *mock_map_import(struct kunit *test,
					struct dma_buf_attachment *attach)
{
	struct sg_table *sgt;

	sgt = dma_buf_map_attachment_unlocked(attach, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sgt);
	if (device_view(attach, sgt) == page_address(sg_page(sgt->sgl))) {
		dma_buf_unmap_attachment_unlocked(attach, sgt,
						  DMA_BIDIRECTIONAL);
		kunit_skip(test, "needs swiotlb=force");
	}

	return sgt;
}
#endif

/* Devices that import what the queue has exported see it, and are seen. */
static void test_vmalloc_export(struct kunit *test)
{
#ifdef HAVE_DEVICE_VIEW
	struct mock *mock = mock_open_ops(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
					  V4L2_MEMORY_MMAP,
					  &vb2_vmalloc_memops);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct dma_buf_attachment *attach;
	struct plane plane = { };
	struct sg_table *sgt;
	u8 *cpu, *device;
	int fd;

	fd = mock_expbuf(mock);
	KUNIT_ASSERT_GE(test, fd, 0);
	attach = mock_import(test, fd);
	sgt = mock_map_import(test, attach);
	cpu = vb2_plane_vaddr(vb, 0);
	device = device_view(attach, sgt);

	KUNIT_EXPECT_EQ(test, 0, vb2_streamon(&mock->q, mock->q.type));
	*device = 1;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, *cpu, 1);
	*cpu = 2;
	mock_return(&mock->q, VB2_BUF_STATE_DONE);
	KUNIT_EXPECT_EQ(test, *device, 1);
	KUNIT_EXPECT_EQ(test, 0, dqbuf(mock));
	KUNIT_EXPECT_EQ(test, *device, 2);

	/* the buffer goes with an access open, the dma-buf does not */
	*device = 3;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, *cpu, 3);
	*cpu = 4;
	vb2_queue_release(&mock->q);
	KUNIT_EXPECT_EQ(test, *device, 4);

	dma_buf_unmap_attachment_unlocked(attach, sgt, DMA_BIDIRECTIONAL);
#else
	kunit_skip(test, "needs swiotlb=force");
#endif
}

/* Nobody takes away what the queue is writing to a buffer it has exported. */
static void test_vmalloc_export_overlap(struct kunit *test)
{
#ifdef HAVE_DEVICE_VIEW
	static const enum dma_data_direction dirs[] = {
		DMA_FROM_DEVICE, DMA_TO_DEVICE, DMA_BIDIRECTIONAL
	};
	struct mock *mock = mock_open_ops(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
					  V4L2_MEMORY_MMAP,
					  &vb2_vmalloc_memops);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct dma_buf_attachment *attach;
	struct plane plane = { };
	struct sg_table *sgt;
	u8 *cpu, *device;
	int fd, i;

	fd = mock_expbuf(mock);
	KUNIT_ASSERT_GE(test, fd, 0);
	attach = mock_import(test, fd);
	sgt = mock_map_import(test, attach);
	cpu = vb2_plane_vaddr(vb, 0);
	device = device_view(attach, sgt);
	KUNIT_EXPECT_EQ(test, 0, vb2_streamon(&mock->q, mock->q.type));

	/* somebody else's access, within the queue's */
	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		*device = 1;
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
		*cpu = 2;
		KUNIT_EXPECT_EQ(test, 0,
				dma_buf_begin_cpu_access(attach->dmabuf,
							 dirs[i]));
		KUNIT_EXPECT_EQ(test, *cpu, 2);
		KUNIT_EXPECT_EQ(test, 0,
				dma_buf_end_cpu_access(attach->dmabuf,
						       dirs[i]));
		KUNIT_EXPECT_EQ(test, *cpu, 2);
		KUNIT_EXPECT_EQ(test, *device, 1);
		mock_return(&mock->q, VB2_BUF_STATE_DONE);
		KUNIT_EXPECT_EQ(test, 0, dqbuf(mock));
		KUNIT_EXPECT_EQ(test, *device, 2);
	}

	/* the device's use ends, and begins */
	*device = 3;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	*cpu = 4;
	dma_buf_unmap_attachment_unlocked(attach, sgt, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, *cpu, 4);
	sgt = dma_buf_map_attachment_unlocked(attach, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sgt);
	device = device_view(attach, sgt);
	*cpu = 5;
	cancel(test, mock);
	KUNIT_EXPECT_EQ(test, *device, 5);

	/* and without the queue, that is how the CPU gets it */
	*device = 6;
	dma_buf_unmap_attachment_unlocked(attach, sgt, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, *cpu, 6);
#else
	kunit_skip(test, "needs swiotlb=force");
#endif
}

/* A queue may import a buffer that it had itself, or that another one has. */
static void test_vmalloc_self_import(struct kunit *test)
{
#ifdef HAVE_DEVICE_VIEW
	struct v4l2_requestbuffers req = {
		.count = 0, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_MMAP,
	};
	struct mock *mock = mock_open_ops(test, req.type, V4L2_MEMORY_MMAP,
					  &vb2_vmalloc_memops);
	struct dma_buf_attachment *attach;
	struct plane plane = { };
	struct sg_table *sgt;
	u8 *cpu, *device;
	int fd;

	fd = mock_expbuf(mock);
	KUNIT_ASSERT_GE(test, fd, 0);
	attach = mock_import(test, fd);
	sgt = mock_map_import(test, attach);
	device = device_view(attach, sgt);
	plane.fd = mock_expbuf(mock);
	KUNIT_ASSERT_GE(test, plane.fd, 0);

	mutex_lock(&mock->lock);
	KUNIT_EXPECT_EQ(test, 0, vb2_reqbufs(&mock->q, &req));
	req.count = 1;
	req.memory = V4L2_MEMORY_DMABUF;
	KUNIT_EXPECT_EQ(test, 0, vb2_reqbufs(&mock->q, &req));

	*device = 1;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	cpu = vb2_plane_vaddr(vb2_get_buffer(&mock->q, 0), 0);
	KUNIT_EXPECT_EQ(test, *cpu, 1);
	*cpu = 2;
	KUNIT_EXPECT_EQ(test, 0, vb2_streamon(&mock->q, mock->q.type));
	mock_return(&mock->q, VB2_BUF_STATE_DONE);
	KUNIT_EXPECT_EQ(test, 0, dqbuf(mock));
	KUNIT_EXPECT_EQ(test, *device, 2);
	mutex_unlock(&mock->lock);

	close_fd(plane.fd);
	dma_buf_unmap_attachment_unlocked(attach, sgt, DMA_BIDIRECTIONAL);
#else
	kunit_skip(test, "needs swiotlb=force");
#endif
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
	KUNIT_CASE(test_access),
	KUNIT_CASE(test_access_direction),
	KUNIT_CASE(test_access_cancelled),
	KUNIT_CASE(test_access_released),
	KUNIT_CASE(test_access_removed),
	KUNIT_CASE(test_access_refused),
	KUNIT_CASE(test_access_fails),
	KUNIT_CASE(test_access_planes),
	KUNIT_CASE(test_access_duplicated),
	KUNIT_CASE(test_access_start_fails),
	KUNIT_CASE(test_access_opt_out),
	KUNIT_CASE(test_plane_access),
	KUNIT_CASE(test_plane_access_nests),
	KUNIT_CASE(test_plane_access_left_open),
	KUNIT_CASE(test_access_request),
	KUNIT_CASE(test_vmalloc_import),
	KUNIT_CASE(test_vmalloc_export),
	KUNIT_CASE(test_vmalloc_export_overlap),
	KUNIT_CASE(test_vmalloc_self_import),
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
