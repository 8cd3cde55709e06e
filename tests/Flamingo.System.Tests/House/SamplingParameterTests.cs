using System.Globalization;
using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Cli.Generating;
using Flamingo.LanguageModel.Engine.Sampling;
using Flamingo.LanguageModel.Execution;
using Flamingo.Testing;
using Flamingo.Wire;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.SystemTests.House;

/// <summary>
/// The places to change for a new sampling parameter, with a test for each place that fails if it was forgotten:
/// <list type="number">
/// <item>the field, in the message Sampling of protos/flamingo/v1/language_model.proto;</item>
/// <item>the property, in Flamingo.Abstractions' <see cref="SamplingParameters"/>;</item>
/// <item>its rule, in <see cref="PromptRules.CheckSampling"/>;</item>
/// <item>its effect, in Flamingo.LanguageModel.Engine or Flamingo.LanguageModel;</item>
/// <item>a line in each input format that offers it: the prompt file's <see cref="SamplingJson"/>, the command line's
/// <see cref="SamplingOptions"/>.</item>
/// </list>
/// The conversion to protobuf needs no change, because <see cref="SamplingWire"/> matches fields and properties by name.
/// </summary>
public sealed class SamplingParameterTests
{
    /// <summary>Parameters that a prompt file has, but the command line does not.</summary>
    private static readonly string[] WithoutOption = ["stop_tokens"];

    /// <summary>Parameters without an invalid value, because every number is a valid seed.</summary>
    private static readonly string[] WithoutRule = ["seed"];

    public static TheoryData<string> Parameters => [.. Properties.Keys];

    public static TheoryData<string> ParametersWithRules => [.. Properties.Keys.Except(WithoutRule)];

    private static Dictionary<string, PropertyInfo> Properties { get; } =
        typeof(SamplingParameters).GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .ToDictionary(property => JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name));

    [Fact]
    public void The_message_and_the_record_have_the_same_parameters() =>
        Assert.Equal(V1.Sampling.Descriptor.Fields.InDeclarationOrder().Select(field => field.Name).Order(), Properties.Keys.Order());

    [Theory, MemberData(nameof(Parameters))]
    public void A_parameter_travels_alone_and_comes_back(string name)
    {
        var (sent, property) = (new SamplingParameters(), Properties[name]);
        property.SetValue(sent, Usual(property.PropertyType));
        var back = V1.Sampling.Parser.ParseFrom(Google.Protobuf.MessageExtensions.ToByteArray(sent.ToMessage())).ToRecord();
        Same.Content(sent, back);
        Assert.Throws<Xunit.Sdk.EqualException>(() => Same.Content(new SamplingParameters(), back)); // the value differs from the default
    }

    [Theory, MemberData(nameof(ParametersWithRules))]
    public void A_parameter_has_a_rule(string name)
    {
        var (sent, property) = (new SamplingParameters(), Properties[name]);
        property.SetValue(sent, Absurd(property.PropertyType));
        Assert.Contains($"sampling.{name}", SamplingRules.Faults(sent).Select(fault => fault.Field));
    }

    [Theory, MemberData(nameof(Parameters))]
    public void The_language_model_reads_a_parameter(string name) =>
        Assert.Contains(
            $"get_{Properties[name].Name}", MembersUsedBy(typeof(TokenSampler)).Concat(MembersUsedBy(typeof(LanguageModelStage))));

    [Fact]
    public void A_prompt_file_offers_every_parameter() => Assert.Equal(Properties.Keys.Order(), SamplingJson.Fields.Order());

    [Fact]
    public void The_command_line_offers_every_parameter_but_those_named_here() =>
        Assert.Equal(Properties.Keys.Except(WithoutOption).Order(), new SamplingOptions().Fields.Order());

    private static object Usual(Type type) => Value(type, 7, 0.5f, "x");

    private static object Absurd(Type type) => Value(type, -1, float.NaN, "");

    private static object Value(Type type, int whole, float fraction, string text)
    {
        if (type == typeof(IReadOnlyList<string>)) return new[] { text };
        if (type == typeof(IReadOnlyList<int>)) return new[] { whole };
        if (type == typeof(IReadOnlyDictionary<int, float>)) return new Dictionary<int, float> { [whole] = fraction };
        var scalar = Nullable.GetUnderlyingType(type) ?? type;
        return scalar == typeof(float) ? fraction : Convert.ChangeType(whole, scalar, CultureInfo.InvariantCulture);
    }

    /// <summary>
    /// Members of <see cref="SamplingParameters"/> that the assembly of a type uses, as its compiled metadata lists them.
    /// </summary>
    private static List<string> MembersUsedBy(Type type)
    {
        using var file = new PEReader(File.OpenRead(type.Assembly.Location));
        var metadata = file.GetMetadataReader();
        return [.. metadata.MemberReferences.Select(metadata.GetMemberReference)
            .Where(member => member.Parent.Kind == HandleKind.TypeReference
                && metadata.GetString(metadata.GetTypeReference((TypeReferenceHandle)member.Parent).Name) == nameof(SamplingParameters))
            .Select(member => metadata.GetString(member.Name))];
    }
}
