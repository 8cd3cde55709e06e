using System.Text.Json.Nodes;
using Flamingo.Checkpoints;
using Flamingo.Testing;

namespace Flamingo.Import.Tests;

/// <summary>Compares the prompt templates that an import writes with the expected ones, character by character.</summary>
public sealed class PromptsTests : IDisposable
{
    private const string Utterance = "<end_of_utterance>";

    private static readonly string Idefics = RepositoryFiles.Path("tests", "reference", "families", "idefics");
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("mpt1b", 1)]
    [InlineData("mpt7b", 2)]
    [InlineData("neox", 2)]
    [InlineData("pythia", 4)]
    [InlineData("llama", 2)]
    public void Every_openflamingo_is_asked_alike(string family, int every)
    {
        string Part(string name) => RepositoryFiles.Path("tests", "reference", "families", family, name);
        Written(OpenFlamingoImport.Run(new OpenFlamingoSource(Part("vision"), Part("language"), Part("checkpoint.pt"), every),
            _folder["model"], null, CancellationToken.None), """
            {
              "caption": {
                "template": "{picture}Output:{answer}<|endofchunk|>",
                "zero_shot": [{ "answer": "A man riding a wave on a surfboard." }, { "answer": "A plate of food on a wooden table." }],
                "cut_at": ["Output"]
              },
              "answer": {
                "template": "{picture}Question:{question} Short answer:{answer}<|endofchunk|>",
                "zero_shot": [
                  { "question": "What color is the bus?", "answer": "red" },
                  { "question": "How many people are there?", "answer": "2" }
                ],
                "cut_at": ["Question", "Answer", "Short"]
              },
              "classify": {
                "template": "{picture}Output:{answer}<|endofchunk|>",
                "zero_shot": [{ "answer": "goldfish" }, { "answer": "school bus" }],
                "cut_at": []
              }
            }
            """);
    }

    [Fact]
    public void An_instruct_idefics_holds_conversations() => Written(Import(Idefics), """
        {
          "caption": {
            "template": "User:{picture}Describe the image briefly.<end_of_utterance>\nAssistant: {answer}<end_of_utterance>\n",
            "zero_shot": [],
            "cut_at": []
          },
          "answer": {
            "template": "User:{picture}{question}<end_of_utterance>\nAssistant: {answer}<end_of_utterance>\n",
            "zero_shot": [],
            "cut_at": []
          },
          "classify": {
            "template": "User:{picture}What is in the image?<end_of_utterance>\nAssistant: {answer}<end_of_utterance>\n",
            "zero_shot": [],
            "cut_at": []
          },
          "chat": {
            "template": "User:{picture}{question}<end_of_utterance>\nAssistant: {answer}<end_of_utterance>\n",
            "zero_shot": [],
            "cut_at": []
          }
        }
        """);

    [Fact]
    public void A_base_idefics_which_has_no_utterances_continues_lines()
    {
        var model = Import(WithoutUtterances());
        Assert.Equal(("</s>", 2), (model.Config.Tokens.EndOfChunk.Text, model.Config.Tokens.EndOfChunk.Id));
        Written(model, """
            {
              "caption": {
                "template": "{picture}Caption: {answer}\n",
                "zero_shot": [{ "answer": "A man riding a wave on a surfboard." }, { "answer": "A plate of food on a wooden table." }],
                "cut_at": []
              },
              "answer": {
                "template": "{picture}Question: {question} Answer: {answer}\n",
                "zero_shot": [
                  { "question": "What color is the bus?", "answer": "red" },
                  { "question": "How many people are there?", "answer": "2" }
                ],
                "cut_at": []
              },
              "classify": {
                "template": "{picture}Class name: {answer}\n",
                "zero_shot": [{ "answer": "goldfish" }, { "answer": "school bus" }],
                "cut_at": []
              }
            }
            """);
    }

    /// <summary>Compares the prompts in the written file, and the prompts that are read back from it.</summary>
    private static void Written(ModelDirectory model, string prompts)
    {
        var written = JsonNode.Parse(File.ReadAllText(Path.Combine(model.Path, ModelDirectory.ConfigFile)))!["prompts"]!;
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(prompts), written), written.ToJsonString());
        Assert.Equivalent(model.Config.Prompts, ModelDirectory.Open(model.Path).Config.Prompts, strict: true);
    }

    private ModelDirectory Import(string source) =>
        IdeficsImport.Run(new IdeficsSource(source), _folder["model"], null, CancellationToken.None);

    /// <summary>Copies the reference checkpoint with the tokenizer of a base model, which lacks the end of utterance.</summary>
    private string WithoutUtterances()
    {
        var folder = Directory.CreateDirectory(_folder["base"]).FullName;
        RepositoryFiles.Copy(Idefics, folder);
        Rewrite("tokenizer.json", json => Drop(json["added_tokens"]!.AsArray(), token => (string?)token!["content"] == Utterance));
        Rewrite("added_tokens.json", json => json.AsObject().Remove(Utterance));
        Rewrite("special_tokens_map.json",
            json => Drop(json["additional_special_tokens"]!.AsArray(), token => (string?)token!["content"] == Utterance));
        Rewrite("tokenizer_config.json", json =>
        {
            json["added_tokens_decoder"]!.AsObject().Remove("543");
            Drop(json["additional_special_tokens"]!.AsArray(), token => (string?)token == Utterance);
        });
        return folder;

        void Rewrite(string name, Action<JsonNode> change)
        {
            var (file, json) = (Path.Combine(folder, name), JsonNode.Parse(File.ReadAllText(Path.Combine(folder, name)))!);
            change(json);
            File.WriteAllText(file, json.ToJsonString());
            Assert.DoesNotContain(Utterance,
                File.ReadAllText(file).Replace("\\u003C", "<", StringComparison.Ordinal).Replace("\\u003E", ">", StringComparison.Ordinal),
                StringComparison.Ordinal);
        }

        static void Drop(JsonArray list, Predicate<JsonNode?> which) => Assert.Equal(1, list.RemoveAll(node => which(node)));
    }
}
