using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Sampling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Tests.Scripted;

/// <summary>
/// A model for tests whose answer is a hash of all previous tokens, the pictures that they attend to and their positions, so that
/// one wrong cell changes all following tokens.
/// </summary>
internal static class ScriptedModel
{
    public const int Vocabulary = 12;

    /// <summary>Id of the stop token.</summary>
    public const int Stop = 11;

    /// <summary>Id after which the logits are not finite.</summary>
    public const int Poison = 10;

    /// <summary>Id of the token in the place of a picture.</summary>
    public const int Image = 9;

    /// <summary>Id of a token after which no picture is attended to until the next picture.</summary>
    public const int Hides = 8;

    public const ulong NoPicture = 0;

    /// <summary>
    /// The cell that a block holds for one token. It depends on the token and on all tokens before it, as keys and values do.
    /// </summary>
    public static ulong Cell(ulong past, int id, ulong picture, int position) =>
        Mix(Mix(Mix(past ^ 0x51ed27) + (ulong)id) ^ picture) + (ulong)position;

    /// <summary>The hash of the past after a cell has been read.</summary>
    public static ulong Read(ulong past, ulong cell) => Mix((past * 3) ^ cell);

    public static float[] Logits(ulong past, int id)
    {
        var logits = new float[Vocabulary];
        for (var token = 0; token < Vocabulary; token++)
            logits[token] = id == Poison ? float.NaN : ((Mix(past + (ulong)(token * 977) + 1) >> 40) / (float)(1 << 24) * 8) - 4;
        logits[Poison] -= 4; // so that it is rarely chosen
        return logits;
    }

    public static float Score(ulong past, int id, int target) =>
        id == Poison ? float.NaN : LogProbabilities.LogSoftmax(Logits(past, id))[target];

    public static float[] Attention(ulong past) => [(past >> 40) / (float)(1 << 24), 1 - ((past >> 40) / (float)(1 << 24))];

    /// <summary>Latents of a picture, equal for equal keys.</summary>
    public static TensorData Latents(string key) => TensorData.FromFloats([.. key.Select(letter => (float)letter)], 1, key.Length);

    /// <summary>The value that a slot holds for a picture; never <see cref="NoPicture"/>.</summary>
    public static ulong Project(TensorData latents) =>
        latents.ToFloats().Aggregate(7UL, (sum, value) => Mix(sum ^ BitConverter.SingleToUInt32Bits(value))) | 1;

    private static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30) ^ 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9;
        value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
        return value ^ (value >> 31);
    }
}
