using Flamingo.Import.Pickles;
using Flamingo.Checkpoints;

namespace Flamingo.Import.Tests.Pickles;

public sealed class PickleReaderTests
{
    public static TheoryData<string, byte[], string> Hostile => new()
    {
        { "os.system by GLOBAL and REDUCE", new PickleWriter().Global("os", "system").Text("touch /tmp/owned").Raw(0x85).Op("R").Stop(),
            "'os.system'" },
        { "posix.system by STACK_GLOBAL", new PickleWriter().Text("posix").Text("system").Raw(0x93).Stop(), "'posix.system'" },
        { "builtins.eval", new PickleWriter().Global("builtins", "eval").Stop(), "'builtins.eval'" },
        { "torch's own load", new PickleWriter().Global("torch.storage", "_load_from_bytes").Stop(), "'torch.storage._load_from_bytes'" },
        { "an allowed name in another module", new PickleWriter().Global("os", "OrderedDict").Stop(), "'os.OrderedDict'" },
        { "INST", new PickleWriter().Op("(ios\nsystem\n").Stop(), "opcode 'i'" },
        { "OBJ", new PickleWriter().Op("(").Global("collections", "OrderedDict").Op("o").Stop(), "opcode 'o'" },
        { "NEWOBJ", new PickleWriter().Global("collections", "OrderedDict").Op(")").Raw(0x81).Stop(), "not a TorchScript module" },
        { "NEWOBJ_EX", new PickleWriter().Raw(0x92).Stop(), "opcode 0x92" },
        { "EXT1", new PickleWriter().Raw(0x82, 1).Stop(), "opcode 0x82" },
        { "EXT2", new PickleWriter().Raw(0x83, 1, 0).Stop(), "opcode 0x83" },
        { "EXT4", new PickleWriter().Raw(0x84, 1, 0, 0, 0).Stop(), "opcode 0x84" },
        { "PERSID as text", new PickleWriter().Op("Pstorage\n").Stop(), "opcode 'P'" },
        { "NEXT_BUFFER", new PickleWriter().Raw(0x97).Stop(), "opcode 0x97" },
        { "a persistent object of another kind",
            new PickleWriter().Op("(").Text("module").Global("torch", "FloatStorage").Text("0").Text("cpu").Op("K\u0001tQ").Stop(),
            "persistent object" },
        { "a call of a storage", new PickleWriter().Global("torch", "FloatStorage").Op(")R").Stop(), "a call of 'torch.FloatStorage'" },
        { "BUILD on a list", new PickleWriter().Op("]}b").Stop(), "state for anything but a dictionary" },
        { "BUILD on a class", new PickleWriter().Global("collections", "OrderedDict").Op("}b").Stop(),
            "state for anything but a dictionary" },
        { "a tuple as key", new PickleWriter().Op("})K\u0001s").Stop(), "dictionary key" },
        { "a later protocol", new PickleWriter().Raw(0x80, 6).Stop(), "protocol" },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public void Everything_but_plain_data_is_refused_by_name(string what, byte[] pickle, string named)
    {
        var exception = Assert.Throws<CheckpointException>(() => PickleReader.Read(pickle, "hostile.pt"));
        Assert.True(exception.Message.Contains(named, StringComparison.Ordinal), $"{what}: {exception.Message}");
        Assert.StartsWith("hostile.pt", exception.Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, byte[]> Damaged => new()
    {
        { "an empty file", [] },
        { "no STOP", [0x80, 2, (byte)'}'] },
        { "STOP with nothing", new PickleWriter().Stop() },
        { "a text longer than the file", new PickleWriter().Op("X").Raw(0xff, 0xff, 0xff, 0x7f).Stop() },
        { "a text of negative length", new PickleWriter().Op("X").Raw(0xff, 0xff, 0xff, 0xff).Stop() },
        { "a class without a line end", new PickleWriter().Op("ctorch").Stop() },
        { "an unknown memo", new PickleWriter().Op("h\u0007").Stop() },
        { "a tuple without a mark", new PickleWriter().Op("Nt").Stop() },
        { "half a pair", new PickleWriter().Op("}(").Text("a").Op("u").Stop() },
        { "items for a number", new PickleWriter().Op("K\u0001(NNu").Stop() },
        { "an integer beyond 64 bits", new PickleWriter().Raw(0x8a, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1).Stop() },
        { "a negative shape", new PickleWriter().Tensor("0", "FloatStorage", 4, 0, [-1, 4]).Stop() },
        { "sixty-five dimensions", new PickleWriter().Tensor("0", "FloatStorage", 4, 0, [.. Enumerable.Repeat(1L, 65)]).Stop() },
        { "ordered pairs of three", new PickleWriter().Global("collections", "OrderedDict").Op("](NNNta").Raw(0x85).Op("R").Stop() },
    };

    [Theory]
    [MemberData(nameof(Damaged))]
    public void A_damaged_pickle_is_one_sentence(string what, byte[] pickle)
    {
        var exception = Record.Exception(() => PickleReader.Read(pickle, "damaged.pt"));
        Assert.True(exception is CheckpointException, $"{what}: {exception}");
    }

    [Fact]
    public void Every_truncation_is_refused()
    {
        var whole = new PickleWriter().Op("}").Text("a").Tensor("0", "HalfStorage", 6, 0, [2, 3]).Op("s").Stop();
        for (var length = 0; length < whole.Length; length++)
            Assert.Throws<CheckpointException>(() => PickleReader.Read(whole[..length], "half.pt"));
    }

    [Fact]
    public void Plain_data_comes_back_and_metadata_is_dropped()
    {
        var pickle = new PickleWriter().Global("collections", "OrderedDict").Op(")Rq\u0000(").Text("epoch").Op("K\u0007").Text("lr")
            .Raw(0x47, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0).Text("flags").Raw(0x88, 0x89).Op("N").Raw(0x87)
            .Text("list").Op("](").Number(-3).Text("é").Op("e").Text("self").Op("h\u0000u").Op("}").Text("_metadata").Op("}sb").Stop();
        var read = Assert.IsType<Dictionary<object, object?>>(PickleReader.Read(pickle, "plain.pt"));
        Assert.Equal(["epoch", "lr", "flags", "list", "self"], read.Keys);
        Assert.Equal(7L, read["epoch"]);
        Assert.Equal(0.5, read["lr"]);
        Assert.Equal([true, false, null], Assert.IsType<object?[]>(read["flags"]));
        Assert.Equal([-3L, "é"], Assert.IsType<List<object?>>(read["list"]));
        Assert.Same(read, read["self"]);
    }

    [Fact]
    public void Parameters_and_tensors_say_where_their_elements_lie()
    {
        var pickle = new PickleWriter().Global("torch._utils", "_rebuild_parameter").Op("(")
            .Tensor("17", "BFloat16Storage", 100, 5, [3, 2], [1, 3]).Raw(0x88).Global("collections", "OrderedDict").Op(")RtR").Stop();
        var tensor = Assert.IsType<PickledTensor>(PickleReader.Read(pickle, "parameter.pt"));
        Assert.Equal(new PickledStorage("17", "BF16", 100), tensor.Storage);
        Assert.Equal(5, tensor.Offset);
        Assert.Equal([3L, 2], tensor.Shape);
        Assert.Equal([1L, 3], tensor.Stride);
    }

    [Fact]
    public void Mutations_end_in_data_or_in_one_sentence()
    {
        var whole = new PickleWriter().Global("collections", "OrderedDict").Op(")Rq\u0001(").Text("a")
            .Tensor("0", "FloatStorage", 6, 0, [2, 3]).Text("b").Tensor("1", "LongStorage", 1, 0, []).Text("epoch").Op("K\u0003u}")
            .Text("_metadata").Op("h\u0001sb").Stop();
        var random = new Random(20260101);
        var refused = 0;
        for (var round = 0; round < 20_000; round++)
        {
            var mutated = whole.ToArray();
            for (var flips = random.Next(1, 4); flips > 0; flips--)
            {
                var at = random.Next(mutated.Length);
                mutated[at] = random.Next(2) == 0 ? (byte)(mutated[at] ^ (1 << random.Next(8))) : (byte)random.Next(256);
            }

            var exception = Record.Exception(() => PickleReader.Read(mutated, "mutated.pt"));
            Assert.True(exception is null or CheckpointException, $"round {round}: {exception}");
            if (exception is not null) refused++;
        }

        Assert.InRange(refused, 5_000, 19_999);
    }
}
