// How a scene becomes a picture. Place, size, shade and ground differ from picture to picture, so that none of them says what is shown.
using SkiaSharp;

internal static class Draw
{
    private static readonly Dictionary<string, (int Red, int Green, int Blue)> Shades = new()
    {
        ["red"] = (220, 40, 40), ["orange"] = (245, 140, 30), ["yellow"] = (245, 225, 60), ["green"] = (40, 170, 70),
        ["cyan"] = (60, 205, 220), ["blue"] = (45, 80, 220), ["purple"] = (140, 60, 190), ["pink"] = (245, 130, 190),
        ["white"] = (245, 245, 245), ["brown"] = (125, 75, 40),
    };

    private static readonly (double X, double Y)[] Quarters = [(.27, .27), (.73, .27), (.27, .73), (.73, .73)];

    /// <summary>A square picture of a scene as a PNG file.</summary>
    /// <param name="size">Its width in pixels.</param>
    /// <param name="grain">How far noise moves each value of a pixel up or down at most; 0 for a clean picture.</param>
    public static byte[] Png(Scene scene, Random random, int size, int grain)
    {
        using var picture = Picture(scene, random, size, grain);
        using var png = picture.Encode(SKEncodedImageFormat.Png, 100);
        return png.ToArray();
    }

    /// <summary>Puts clean pictures into one sheet, a row for each list.</summary>
    public static byte[] Sheet(IReadOnlyList<IReadOnlyList<Scene>> rows, Random random, int size, int gap)
    {
        using var sheet = Opaque((rows.Max(row => row.Count) * (size + gap)) + gap, (rows.Count * (size + gap)) + gap);
        using var canvas = new SKCanvas(sheet);
        canvas.Clear(SKColors.White);
        foreach (var (y, row) in rows.Index())
        {
            foreach (var (x, scene) in row.Index())
            {
                using var picture = Picture(scene, random, size, 0);
                canvas.DrawBitmap(picture, gap + (x * (size + gap)), gap + (y * (size + gap)));
            }
        }

        using var png = sheet.Encode(SKEncodedImageFormat.Png, 100);
        return png.ToArray();
    }

    // The picture is drawn at twice its size without smoothing. Each pixel is then the mean of four, which makes the edges soft.
    private static SKBitmap Picture(Scene scene, Random random, int size, int grain)
    {
        double side = 2 * size;
        using var large = Opaque(2 * size, 2 * size);
        using var canvas = new SKCanvas(large);
        using var paint = new SKPaint { IsAntialias = false };
        canvas.Clear(new SKColor((byte)random.Next(15, 96), (byte)random.Next(15, 96), (byte)random.Next(15, 96)));

        double Between(double low, double high) => low + (random.NextDouble() * (high - low));
        double Radius(Thing thing) => side * (thing.Size == "small" ? Between(.095, .125) : Between(.19, .23));
        void Choose(string color)
        {
            byte Shade(int value) => (byte)Math.Clamp(value + random.Next(-14, 15), 0, 255);
            var (red, green, blue) = Shades[color];
            paint.Color = new SKColor(Shade(red), Shade(green), Shade(blue));
        }

        void Put(Thing thing, double x, double y, double radius) =>
            Shape(canvas, paint, thing.Shape, (float)x, (float)y, (float)radius);

        if (scene.Second is not null)
        {
            var isBeside = scene.Relation == "left of";
            foreach (var (thing, along) in new[] { (scene.First, .27), (scene.Second, .73) })
            {
                var (place, across) = (along + Between(-.03, .03), .5 + Between(-.1, .1));
                Choose(thing.Color);
                Put(thing, (isBeside ? place : across) * side, (isBeside ? across : place) * side, Radius(thing));
            }
        }
        else if (scene.Count > 1)
        {
            Choose(scene.First.Color); // the things of one kind have one shade
            (double X, double Y)[] quarters = [.. Quarters];
            random.Shuffle(quarters);
            foreach (var (x, y) in quarters.Take(scene.Count))
                Put(scene.First, (x + Between(-.03, .03)) * side, (y + Between(-.03, .03)) * side, Radius(scene.First));
        }
        else
        {
            var radius = Radius(scene.First) * 1.15;
            Choose(scene.First.Color);
            Put(scene.First, Between(radius + 2, side - radius - 2), Between(radius + 2, side - radius - 2), radius);
        }

        canvas.Flush();
        return Halved(large, random, size, grain);
    }

    private static SKBitmap Halved(SKBitmap large, Random random, int size, int grain)
    {
        var small = Opaque(size, size);
        var from = large.GetPixelSpan();
        var to = small.GetPixelSpan();
        for (var y = 0; y < size; y++)
        {
            for (var x = 0; x < size; x++)
            {
                for (var channel = 0; channel < 3; channel++)
                {
                    var corner = (2 * y * large.RowBytes) + (8 * x) + channel;
                    var mean = (from[corner] + from[corner + 4] + from[corner + large.RowBytes] + from[corner + large.RowBytes + 4]
                        + 2) / 4;
                    to[(y * small.RowBytes) + (4 * x) + channel] =
                        (byte)Math.Clamp(mean + (grain > 0 ? random.Next(-grain, grain + 1) : 0), 0, 255);
                }

                to[(y * small.RowBytes) + (4 * x) + 3] = 255;
            }
        }

        return small;
    }

    private static void Shape(SKCanvas canvas, SKPaint paint, string shape, float x, float y, float r)
    {
        void Box(float left, float top, float right, float bottom) =>
            canvas.DrawRect(new SKRect(x + (r * left), y + (r * top), x + (r * right), y + (r * bottom)), paint);
        void Oval(float left, float top, float right, float bottom) =>
            canvas.DrawOval(new SKRect(x + (r * left), y + (r * top), x + (r * right), y + (r * bottom)), paint);
        void Outline(params (double X, double Y)[] corners)
        {
            using var path = new SKPath();
            path.AddPoly([.. corners.Select(corner => new SKPoint(x + (float)(r * corner.X), y + (float)(r * corner.Y)))], close: true);
            canvas.DrawPath(path, paint);
        }

        // Corners on a circle, from an angle on; with an inner radius, every other one lies on a second circle, as in a star.
        static (double X, double Y)[] Corners(int count, double radius, double from, double? inner = null) =>
            [.. Enumerable.Range(0, inner is null ? count : 2 * count).Select(i =>
            {
                var angle = from + (2 * Math.PI * i / (inner is null ? count : 2 * count));
                var distance = inner is not null && i % 2 == 1 ? radius * inner.Value : radius;
                return (distance * Math.Cos(angle), distance * Math.Sin(angle));
            })];

        switch (shape)
        {
            case "circle": Oval(-1, -1, 1, 1); break;
            case "square": Box(-.85f, -.85f, .85f, .85f); break;
            case "triangle": Outline(Corners(3, 1.1, -Math.PI / 2)); break;
            case "star": Outline(Corners(5, 1.1, -Math.PI / 2, .42)); break;
            case "hexagon": Outline(Corners(6, 1.05, 0)); break;
            case "cross":
                Box(-1, -.32f, 1, .32f);
                Box(-.32f, -1, .32f, 1);
                break;
            case "heart":
                Oval(-1, -.9f, 0, .15f);
                Oval(0, -.9f, 1, .15f);
                Outline((-.95, -.2), (.95, -.2), (0, 1));
                break;
            case "ring":
                var width = Math.Max(3, (int)(r * .42f));
                (paint.Style, paint.StrokeWidth) = (SKPaintStyle.Stroke, width);
                canvas.DrawCircle(x, y, r - (width / 2f), paint);
                paint.Style = SKPaintStyle.Fill;
                break;
            case World.NinthShape: // it points to the right
                Box(-1, -.32f, .15f, .32f);
                Outline((.05, -.95), (1.05, 0), (.05, .95));
                break;
            default: throw new ArgumentException($"'{shape}' is no shape of this world.", nameof(shape));
        }
    }

    private static SKBitmap Opaque(int width, int height) =>
        new(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque));
}
