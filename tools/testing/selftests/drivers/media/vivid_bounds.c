// SPDX-License-Identifier: GPL-2.0
/*
 * Sizes and rectangles that once made vivid go beyond its buffers.
 *
 * Needs root and an instance of vivid with the single-planar API and the
 * default allocator, vmalloc:
 *
 *	modprobe vivid
 *
 * On an unfixed kernel, loop.no_line to loop.higher and loop.output_shrinks
 * crash it or access memory beyond the buffers, and leave vivid unusable. So
 * run each of them by its name, after a reboot:
 *
 *	./vivid_bounds -t wide
 *
 * An output is looped to an input with noise that is compared with the captured
 * frame, byte by byte. The capture buffers are user memory that extends beyond
 * the size of the format by a tail, to which nothing may be written.
 */

#include <stdlib.h>

#include "../../kselftest_harness.h"
#include "vivid.h"

#define OUT_BUFFERS	4
#define CAP_BUFFERS	VIVID_MAX_BUFFERS
#define FRAMES		20
#define TAIL		(256 * 1024)

#define WIDTH		640U
#define HEIGHT		480U

#define XBGR32		V4L2_PIX_FMT_XBGR32
#define YUV420		V4L2_PIX_FMT_YUV420

#define RECT(l, t, w, h) \
	((struct v4l2_rect){ .left = l, .top = t, .width = w, .height = h })

static int set_boolean(int fd, const char *name, int value)
{
	struct v4l2_control ctrl = { .value = value };
	struct v4l2_query_ext_ctrl query;

	if (vivid_find_control(fd, name, &query))
		return -ENOENT;
	ctrl.id = query.id;

	return v4l2_ioctl(fd, VIDIOC_S_CTRL, &ctrl);
}

static int set_full_hd(int fd)
{
	struct v4l2_dv_timings timings = V4L2_DV_BT_CEA_1920X1080P60;

	return v4l2_ioctl(fd, VIDIOC_S_DV_TIMINGS, &timings);
}

static int get_format(struct vivid_queue *q, struct v4l2_pix_format *pix)
{
	struct v4l2_format format = { .type = q->type };
	int ret;

	ret = v4l2_ioctl(q->fd, VIDIOC_G_FMT, &format);
	*pix = format.fmt.pix;

	return ret;
}

static int get_rect(struct vivid_queue *q, uint32_t target,
		    struct v4l2_rect *rect)
{
	struct v4l2_selection sel = { .type = q->type, .target = target };
	int ret;

	ret = v4l2_ioctl(q->fd, VIDIOC_G_SELECTION, &sel);
	*rect = sel.r;

	return ret;
}

/* Returns -EINVAL if the driver adjusts the rectangle. */
static int set_rect(struct vivid_queue *q, uint32_t target,
		    struct v4l2_rect rect)
{
	struct v4l2_selection sel = {
		.type = q->type, .target = target, .r = rect,
	};
	int ret;

	ret = v4l2_ioctl(q->fd, VIDIOC_S_SELECTION, &sel);
	if (ret)
		return ret;

	return memcmp(&sel.r, &rect, sizeof(rect)) ? -EINVAL : 0;
}

static int qbuf_user(struct vivid_queue *q, unsigned int index)
{
	struct v4l2_buffer buf = {
		.index = index,
		.type = q->type,
		.memory = V4L2_MEMORY_USERPTR,
		.m.userptr = (unsigned long)q->mem[index],
		.length = q->size,
	};

	memset(q->mem[index], POISON, q->size);

	return v4l2_ioctl(q->fd, VIDIOC_QBUF, &buf);
}

/*
 * Captures a few frames of @size bytes, into buffers of @length bytes. Returns
 * the last one, or NULL after logging a failure.
 */
static uint8_t *capture(struct __test_metadata *_metadata,
			struct vivid_queue *q, size_t size, size_t length)
{
	int frames, index, ret;

	q->memory = V4L2_MEMORY_USERPTR;
	q->size = length;
	ret = vivid_reqbufs(q, CAP_BUFFERS);
	for (index = 0; !ret && index < CAP_BUFFERS; index++) {
		q->mem[index] = mmap(NULL, length, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ret = q->mem[index] == MAP_FAILED ? -errno :
						    qbuf_user(q, index);
	}
	if (!ret)
		ret = vivid_streamon(q);
	if (ret) {
		TH_LOG("cannot start: %s", strerror(-ret));
		return NULL;
	}

	for (frames = 0; frames < FRAMES; frames++) {
		if (frames)
			ret = qbuf_user(q, index);
		index = vivid_dqbuf(q);
		if (ret || index < 0) {
			TH_LOG("frame %d does not come: %s", frames,
			       strerror(ret ? -ret : -index));
			return NULL;
		}
	}
	vivid_streamoff(q);

	while (length-- > size) {
		if (((uint8_t *)q->mem[index])[length] == POISON)
			continue;
		TH_LOG("%zu bytes written beyond a frame of %zu",
		       length + 1 - size, size);
		return NULL;
	}

	return q->mem[index];
}

static uint8_t *capture_format(struct __test_metadata *_metadata,
			       struct vivid_queue *q,
			       struct v4l2_pix_format *pix)
{
	if (get_format(q, pix)) {
		TH_LOG("no capture format");
		return NULL;
	}

	return capture(_metadata, q, pix->sizeimage, pix->sizeimage + TAIL);
}

/* Outputs one frame of noise, over and over. Returns it, or else NULL. */
static uint8_t *output(struct __test_metadata *_metadata,
		       struct vivid_queue *q)
{
	int index, ret;

	ret = vivid_alloc_mmap(q, OUT_BUFFERS);
	for (index = 0; !ret && index < OUT_BUFFERS; index++) {
		fill_noise(q->mem[index], q->size, 0);
		ret = vivid_qbuf(q, index);
	}
	if (!ret)
		ret = vivid_streamon(q);
	if (ret)
		TH_LOG("cannot start: %s", strerror(-ret));

	return ret ? NULL : q->mem[0];
}

struct picture {
	const uint8_t *mem;
	unsigned int stride;
	unsigned int width;
	unsigned int height;
};

/* vivid scales by whole lines, and by pairs of pixels: @pair bytes each. */
static bool is_scaled(struct __test_metadata *_metadata, struct picture to,
		      struct picture from, unsigned int pair)
{
	const uint8_t *dst, *src;
	unsigned int x, y;

	from.width /= 2;
	to.width /= 2;
	for (y = 0; y < to.height; y++) {
		dst = to.mem + y * to.stride;
		src = from.mem + y * from.height / to.height * from.stride;
		for (x = 0; x < to.width; x++) {
			if (!memcmp(dst + x * pair,
				    src + x * from.width / to.width * pair,
				    pair))
				continue;
			TH_LOG("line %u is wrong from pixel %u on: %02x %02x",
			       y, 2 * x, dst[x * pair], dst[x * pair + 1]);
			return false;
		}
	}

	return true;
}

/* An HDMI output that is looped to an HDMI input, with all the defaults. */
FIXTURE(loop)
{
	struct vivid_queue cap;
	struct vivid_queue out;
};

FIXTURE_SETUP(loop)
{
	struct vivid_queue *cap = &self->cap, *out = &self->out;

	cap->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	out->type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
	cap->fd = vivid_open("vivid-000-vid-cap");
	out->fd = vivid_open("vivid-000-vid-out");
	if (cap->fd == -ENODEV || out->fd == -ENODEV)
		SKIP(return, "no vivid");
	ASSERT_GE(cap->fd, 0);
	ASSERT_GE(out->fd, 0);

	ASSERT_EQ(0, vivid_set_output(out->fd, "HDMI 000-0"));
	ASSERT_EQ(0, vivid_set_input(cap->fd, "HDMI 000-0"));
	ASSERT_EQ(0, vivid_set_menu(cap->fd, "HDMI 000-0 Is Connected To",
				    "Output HDMI 000-0"));
	ASSERT_EQ(0, vivid_set_menu(cap->fd, "OSD Text Mode", "None"));
	ASSERT_EQ(0, set_boolean(cap->fd, "Enable Capture Composing", 1));
	ASSERT_EQ(0, set_boolean(out->fd, "Enable Output Cropping", 1));

	/* Other timings reset the rectangles, and the same ones do not. */
	ASSERT_EQ(0, set_full_hd(out->fd));
	ASSERT_EQ(0, set_full_hd(cap->fd));
	ASSERT_EQ(0, vivid_set_timings(out->fd));
	ASSERT_EQ(0, vivid_set_timings(cap->fd));
	ASSERT_EQ(0, vivid_set_pix(out, XBGR32, WIDTH, HEIGHT));
	ASSERT_EQ(0, vivid_set_pix(cap, XBGR32, WIDTH, HEIGHT));
}

FIXTURE_TEARDOWN(loop)
{
	close(self->cap.fd);
	close(self->out.fd);
}

/* The compose rectangle is black if the video gets too small for it. */
static void expect_black(struct __test_metadata *_metadata,
			 struct vivid_queue *cap, struct vivid_queue *out,
			 struct v4l2_rect video, struct v4l2_rect crop,
			 struct v4l2_rect compose)
{
	struct v4l2_pix_format pix;
	const uint8_t *frame, *pixel;
	unsigned int x, y;
	bool inside, good;

	ASSERT_EQ(0, set_rect(out, V4L2_SEL_TGT_COMPOSE, video));
	ASSERT_EQ(0, set_rect(cap, V4L2_SEL_TGT_CROP, crop));
	ASSERT_EQ(0, set_rect(cap, V4L2_SEL_TGT_COMPOSE, compose));

	/* vivid prepares its black line with its first test picture. */
	ASSERT_NE(NULL, capture_format(_metadata, cap, &pix));

	ASSERT_NE(NULL, output(_metadata, out));
	frame = capture_format(_metadata, cap, &pix);
	ASSERT_NE(NULL, frame);

	for (y = 0; y < pix.height; y++) {
		for (x = 0; x < pix.width; x++) {
			pixel = frame + y * pix.bytesperline + 4 * x;
			inside = x < compose.width && y < compose.height;
			if (inside)
				good = pixel[0] <= 16 && pixel[1] <= 16 &&
				       pixel[2] <= 16;
			else
				good = is_filled(pixel, POISON, 4);
			ASSERT_TRUE(good) {
				TH_LOG("pixel %u of line %u is %02x%02x%02x",
				       x, y, pixel[2], pixel[1], pixel[0]);
			}
		}
	}
}

/* Two lines of 466, scaled to less than one of 120 */
TEST_F_TIMEOUT(loop, no_line, 120)
{
	expect_black(_metadata, &self->cap, &self->out, RECT(0, 0, WIDTH, 16),
		     RECT(0, 14, WIDTH, 466), RECT(0, 0, WIDTH, 120));
}

/* Two pixels of 626, scaled to less than one of 160 */
TEST_F_TIMEOUT(loop, no_pixel, 120)
{
	expect_black(_metadata, &self->cap, &self->out, RECT(0, 0, 16, HEIGHT),
		     RECT(14, 0, 626, HEIGHT), RECT(0, 0, 160, HEIGHT));
}

/* The buffer for a scaled line overflowed, as bytes were taken for pixels. */
TEST_F_TIMEOUT(loop, wide, 120)
{
	struct v4l2_pix_format pix;
	uint8_t *noise, *frame;

	ASSERT_EQ(0, vivid_set_pix(&self->cap, XBGR32, 2 * WIDTH, HEIGHT));
	ASSERT_EQ(0, set_rect(&self->cap, V4L2_SEL_TGT_COMPOSE,
			      RECT(0, 0, 2 * WIDTH, HEIGHT)));
	noise = output(_metadata, &self->out);
	ASSERT_NE(NULL, noise);
	frame = capture_format(_metadata, &self->cap, &pix);
	ASSERT_NE(NULL, frame);
	EXPECT_TRUE(is_scaled(_metadata, (struct picture){
		frame, pix.bytesperline, 2 * WIDTH, HEIGHT,
	}, (struct picture){
		noise, 4 * WIDTH, WIDTH, HEIGHT,
	}, 8));
}

/* It also had only one byte for each pixel of the widest line. */
TEST_F_TIMEOUT(loop, widest, 120)
{
	struct v4l2_pix_format pix;
	struct v4l2_rect crop;
	uint8_t *noise, *frame;

	ASSERT_EQ(0, set_full_hd(self->out.fd));
	ASSERT_EQ(0, set_full_hd(self->cap.fd));
	ASSERT_EQ(0, vivid_set_pix(&self->out, XBGR32, 1920, 1080));
	ASSERT_EQ(0, set_boolean(self->cap.fd, "Enable Capture Composing", 0));
	ASSERT_EQ(0, vivid_set_pix(&self->cap, XBGR32, 4 * 1920, 64));
	ASSERT_EQ(0, get_rect(&self->cap, V4L2_SEL_TGT_CROP, &crop));
	ASSERT_EQ(1920U, crop.width);

	noise = output(_metadata, &self->out);
	ASSERT_NE(NULL, noise);
	frame = capture_format(_metadata, &self->cap, &pix);
	ASSERT_NE(NULL, frame);
	EXPECT_TRUE(is_scaled(_metadata, (struct picture){
		frame, pix.bytesperline, 4 * 1920, 64,
	}, (struct picture){
		noise + crop.top * 4 * 1920, 4 * 1920, 1920, crop.height,
	}, 8));
}

static void expect_planes(struct __test_metadata *_metadata,
			  struct vivid_queue *cap, struct vivid_queue *out,
			  unsigned int height)
{
	unsigned int plane, half, cap_height;
	struct v4l2_pix_format pix;
	uint8_t *noise, *frame;

	/* the buffer stays higher than the picture if that shrinks */
	cap_height = height < HEIGHT ? HEIGHT : height;
	ASSERT_EQ(0, vivid_set_pix(out, YUV420, WIDTH, HEIGHT));
	ASSERT_EQ(0, vivid_set_pix(cap, YUV420, WIDTH, cap_height));
	ASSERT_EQ(0, set_rect(cap, V4L2_SEL_TGT_COMPOSE,
			      RECT(0, 0, WIDTH, height)));
	noise = output(_metadata, out);
	ASSERT_NE(NULL, noise);
	frame = capture_format(_metadata, cap, &pix);
	ASSERT_NE(NULL, frame);

	for (plane = 0; plane < 3; plane++) {
		half = plane ? 2 : 1;
		EXPECT_TRUE(is_scaled(_metadata, (struct picture){
			frame, WIDTH / half, WIDTH / half, height / half,
		}, (struct picture){
			noise, WIDTH / half, WIDTH / half, HEIGHT / half,
		}, 2)) {
			TH_LOG("that was in plane %u", plane);
		}
		frame += WIDTH / half * (cap_height / half);
		noise += WIDTH / half * (HEIGHT / half);
	}
}

/* Chroma planes were scaled by the number of luma lines. */
TEST_F_TIMEOUT(loop, lower, 120)
{
	expect_planes(_metadata, &self->cap, &self->out, 300);
}

TEST_F_TIMEOUT(loop, higher, 120)
{
	expect_planes(_metadata, &self->cap, &self->out, 720);
}

/* The output has grown, and its crop rectangle must stay in its buffer. */
static void expect_output(struct __test_metadata *_metadata,
			  struct vivid_queue *cap, struct vivid_queue *out)
{
	struct v4l2_pix_format to, from;
	struct v4l2_rect crop;
	uint8_t *noise, *frame;

	ASSERT_EQ(0, get_format(out, &from));
	ASSERT_EQ(0, get_rect(out, V4L2_SEL_TGT_CROP, &crop));
	TH_LOG("crop %ux%u at %d,%d of %ux%u, %u bytes per line",
	       crop.width, crop.height, crop.left, crop.top,
	       from.width, from.height, from.bytesperline);
	ASSERT_LE(crop.left + crop.width, from.width);
	ASSERT_LE(crop.top + crop.height, from.height);
	ASSERT_GE(from.bytesperline, 4 * from.width);

	noise = output(_metadata, out);
	ASSERT_NE(NULL, noise);
	frame = capture_format(_metadata, cap, &to);
	ASSERT_NE(NULL, frame);
	EXPECT_TRUE(is_scaled(_metadata, (struct picture){
		frame, to.bytesperline, WIDTH, HEIGHT,
	}, (struct picture){
		noise + crop.top * from.bytesperline + 4 * crop.left,
		from.bytesperline, crop.width, crop.height,
	}, 8));
}

TEST_F_TIMEOUT(loop, output_corner, 120)
{
	ASSERT_EQ(0, set_rect(&self->out, V4L2_SEL_TGT_CROP,
			      RECT(WIDTH - 16, HEIGHT - 16, 16, 16)));
	ASSERT_EQ(0, set_rect(&self->out, V4L2_SEL_TGT_COMPOSE,
			      RECT(0, 0, WIDTH, HEIGHT)));
	expect_output(_metadata, &self->cap, &self->out);
}

TEST_F_TIMEOUT(loop, output_grows, 120)
{
	ASSERT_EQ(0, vivid_set_pix(&self->out, XBGR32, 16, 16));
	ASSERT_EQ(0, set_rect(&self->out, V4L2_SEL_TGT_COMPOSE,
			      RECT(0, 0, WIDTH, HEIGHT)));
	expect_output(_metadata, &self->cap, &self->out);
}

/* Without cropping, the whole output is looped, and nothing beyond it. */
TEST_F_TIMEOUT(loop, output_shrinks, 120)
{
	struct v4l2_pix_format to, from;
	uint8_t *noise, *frame;

	ASSERT_EQ(0, set_boolean(self->out.fd, "Enable Output Cropping", 0));
	ASSERT_EQ(0, set_rect(&self->out, V4L2_SEL_TGT_COMPOSE,
			      RECT(0, 0, 64, 48)));
	ASSERT_EQ(0, get_format(&self->out, &from));
	ASSERT_EQ(4 * 64U, from.width);
	ASSERT_EQ(4 * 48U, from.height);

	noise = output(_metadata, &self->out);
	ASSERT_NE(NULL, noise);
	frame = capture_format(_metadata, &self->cap, &to);
	ASSERT_NE(NULL, frame);
	EXPECT_TRUE(is_scaled(_metadata, (struct picture){
		frame, to.bytesperline, 64, 48,
	}, (struct picture){
		noise, from.bytesperline, from.width, from.height,
	}, 8));
}

/* The buffer is large enough for what is captured, without any output. */
TEST_F_TIMEOUT(loop, input_grows, 120)
{
	struct v4l2_pix_format pix;

	ASSERT_EQ(0, vivid_set_pix(&self->cap, XBGR32, 16, 16));
	ASSERT_EQ(0, set_rect(&self->cap, V4L2_SEL_TGT_CROP,
			      RECT(0, 0, WIDTH, HEIGHT)));
	EXPECT_NE(NULL, capture_format(_metadata, &self->cap, &pix));
	EXPECT_EQ(WIDTH / 4, pix.width);
	EXPECT_EQ(HEIGHT / 4, pix.height);
	EXPECT_GE(pix.bytesperline, 4 * pix.width);
}

/* A quarter of 268 lines is an odd number of them. */
TEST_F_TIMEOUT(loop, input_odd, 120)
{
	struct v4l2_pix_format pix;

	ASSERT_EQ(0, vivid_set_pix(&self->cap, YUV420, 160, 16));
	ASSERT_EQ(0, set_rect(&self->cap, V4L2_SEL_TGT_CROP,
			      RECT(0, 0, WIDTH, 268)));
	EXPECT_NE(NULL, capture_format(_metadata, &self->cap, &pix));
	EXPECT_EQ(68U, pix.height);
}

/* A chroma line has 321 bytes, for two lines of luma. */
TEST_F_TIMEOUT(loop, input_chroma, 120)
{
	struct v4l2_pix_format pix;

	ASSERT_EQ(0, vivid_set_pix(&self->cap, YUV420, 642, HEIGHT));
	EXPECT_NE(NULL, capture_format(_metadata, &self->cap, &pix));
	EXPECT_EQ(642 * HEIGHT * 3 / 2, pix.sizeimage);
}

/* Samples have two bytes, and the length of the buffer is odd. */
TEST(sdr_odd)
{
	struct vivid_queue q = { .type = V4L2_BUF_TYPE_SDR_CAPTURE };
	struct v4l2_format format = { .type = q.type };

	q.fd = vivid_open("vivid-000-sdr-cap");
	if (q.fd == -ENODEV)
		SKIP(return, "no vivid-000-sdr-cap");
	ASSERT_GE(q.fd, 0);
	ASSERT_EQ(0, v4l2_ioctl(q.fd, VIDIOC_G_FMT, &format));
	EXPECT_NE(NULL, capture(_metadata, &q, format.fmt.sdr.buffersize,
				format.fmt.sdr.buffersize + 1));
	close(q.fd);
}

TEST_HARNESS_MAIN
